//! Tables before and after, and whether what is hidden can be computed again.

use proptest::prelude::*;

use super::*;

fn table(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn text(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| row.join(",")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_small_cell_takes_others_with_it_where_margins_would_give_it_back() {
    let made = suppress(
        &table("village,flu,copd,total\nA,3,40,43\nB,50,60,110\nC,70,80,150\n合计,123,180,303"),
        Shape::default(),
        11,
    )
    .unwrap();
    assert_eq!(
        text(&made.rows),
        "village,flu,copd,total\nA,*,*,43\nB,*,*,110\nC,70,80,150\n合计,123,180,303"
    );
    assert_eq!((made.small, made.complementary), (1, 3));
    assert!(made.total_row && made.total_column);
    assert_eq!(made.report.count("flu", Did::Removed), 2);
}

#[test]
fn without_margins_only_small_cells_go_and_zeros_stay() {
    let made =
        suppress(&table("village,n,m\nA,3,0\nB,50,11\nC,10,"), Shape::default(), 11).unwrap();
    assert_eq!(text(&made.rows), "village,n,m\nA,*,0\nB,50,11\nC,*,");
    assert_eq!((made.small, made.complementary), (2, 0));
}

#[test]
fn two_ones_whose_sum_is_two_are_not_left_alone() {
    let made =
        suppress(&table("v,n\nA,1\nB,1\nC,90\nD,80\ntotal,172"), Shape::default(), 11).unwrap();
    assert_eq!(text(&made.rows), "v,n\nA,*\nB,*\nC,90\nD,*\ntotal,172");
}

#[test]
fn a_table_that_is_none_is_refused_with_its_place() {
    let of = |text: &str| suppress(&table(text), Shape::default(), 11).unwrap_err();
    assert_eq!(of("a,b"), CountsError::Empty);
    assert_eq!(of("a,b\nx,y"), CountsError::NoCounts);
    assert_eq!(of("a,b\nx"), CountsError::Ragged { row: 2, found: 1, wanted: 2 });
    assert_eq!(of("v,n\nA,3\nB,4\ntotal,8"), CountsError::WrongTotal { row: 4, column: 2 });
    let shape = Shape { label_columns: Some(1) };
    let wrong = suppress(&table("v,n\nA,three"), shape, 11).unwrap_err();
    assert_eq!(wrong, CountsError::NoCount { row: 2, column: 2 });
}

/// A cell with the least and the most it could be.
type Bounds = ((usize, usize), (u64, u64));

/// All tables of counts that look the same from outside: hidden cells anything from 1 to `most`, as
/// the equations allow. Gives least and most of each hidden cell.
fn bounds(rows: &[Vec<String>], most: u64) -> Vec<Bounds> {
    let shown: Vec<Vec<Option<u64>>> = rows
        .iter()
        .skip(1)
        .map(|row| row.iter().skip(1).map(|cell| cell.parse().ok()).collect())
        .collect();
    let hidden: Vec<(usize, usize)> = shown
        .iter()
        .enumerate()
        .flat_map(|(r, row)| {
            row.iter().enumerate().filter(|(_, c)| c.is_none()).map(move |(c, _)| (r, c))
        })
        .collect();
    let mut found: Vec<Bounds> = hidden.iter().map(|place| (*place, (u64::MAX, 0))).collect();
    search(&mut shown.clone(), &hidden, most, &mut found);
    found
}

fn consistent(grid: &[Vec<Option<u64>>]) -> bool {
    let line = |cells: Vec<Option<u64>>| {
        let known: Option<Vec<u64>> = cells.into_iter().collect();
        known.is_none_or(|known| {
            let (total, parts) = known.split_last().unwrap();
            parts.iter().sum::<u64>() == *total
        })
    };
    let width = grid[0].len();
    grid.iter().all(|row| line(row.clone()))
        && (0..width).all(|c| line(grid.iter().map(|row| row[c]).collect()))
}

fn search(
    grid: &mut Vec<Vec<Option<u64>>>,
    hidden: &[(usize, usize)],
    most: u64,
    found: &mut [Bounds],
) {
    if !consistent(grid) {
        return;
    }
    let Some(((r, c), rest)) = hidden.split_first() else {
        for ((r, c), (least, greatest)) in found.iter_mut() {
            let count = grid[*r][*c].unwrap();
            *least = (*least).min(count);
            *greatest = (*greatest).max(count);
        }
        return;
    };
    for count in 1..=most {
        grid[*r][*c] = Some(count);
        search(grid, rest, most, found);
    }
    grid[*r][*c] = None;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// With a threshold of 3 and counts up to 6, by trying every table.
    #[test]
    fn no_small_cell_can_be_computed(cells in prop::collection::vec(0_u64..7, 9)) {
        let mut rows = vec!["v,a,b,c,total".to_owned()];
        for r in 0..3 {
            let row = &cells[r * 3..r * 3 + 3];
            rows.push(format!("r{r},{},{},{},{}", row[0], row[1], row[2], row.iter().sum::<u64>()));
        }
        let column = |c: usize| cells[c] + cells[3 + c] + cells[6 + c];
        rows.push(format!("total,{},{},{},{}", column(0), column(1), column(2), cells.iter().sum::<u64>()));
        let before = table(&rows.join("\n"));
        let made = suppress(&before, Shape::default(), 3).unwrap();
        let hidden = made.small + made.complementary;
        prop_assume!(hidden <= 6);
        let counts = |r: usize, c: usize| before[r][c].parse::<u64>().unwrap();
        let within = (1..5).all(|r| (1..5).all(|c| made.rows[r][c] != SUPPRESSED || counts(r, c) <= 20));
        prop_assume!(within);
        for ((r, c), (least, greatest)) in bounds(&made.rows, 20) {
            let count: u64 = before[r + 1][c + 1].parse().unwrap();
            prop_assert!((least..=greatest).contains(&count));
            if (1..3).contains(&count) {
                prop_assert!(greatest >= 3 && least < greatest, "{:?} is given away:\n{}", (r, c), text(&made.rows));
            }
        }
    }

    #[test]
    fn what_is_shown_is_what_was_there_and_no_small_count_is_shown(cells in prop::collection::vec(0_u64..40, 1..60)) {
        let rows: Vec<Vec<String>> = std::iter::once(vec!["v".to_owned(), "n".to_owned()])
            .chain(cells.iter().enumerate().map(|(i, n)| vec![format!("r{i}"), n.to_string()]))
            .collect();
        let made = suppress(&rows, Shape::default(), 11).unwrap();
        for (before, after) in rows.iter().zip(&made.rows).skip(1) {
            let count: u64 = before[1].parse().unwrap();
            prop_assert_eq!(&after[0], &before[0]);
            if (1..11).contains(&count) { prop_assert_eq!(&after[1], SUPPRESSED) } else { prop_assert_eq!(&after[1], &before[1]) }
        }
    }
}

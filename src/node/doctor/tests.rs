//! Checks that hang, break or find nothing, and those that come after them.

use std::collections::BTreeMap;

use super::*;

const SHORT: Duration = Duration::from_secs(1);

fn standings(lines: &[Line]) -> Vec<(Standing, &str)> {
    lines.iter().map(|line| (line.standing, line.found.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_hangs_or_breaks_keeps_its_lines_and_stops_no_other() {
    let tasks = TaskTracker::new();
    let begun = [
        begin(
            Check::Disk,
            SHORT,
            |notes| {
                Box::pin(async move {
                    notes.ok("first", "seen before it hung");
                    // A thread in a call that never comes back, as on a disk that is gone.
                    let hung = apart(|| std::thread::sleep(Duration::from_hours(1))).await;
                    notes.ok("second", format!("{hung:?}"));
                })
            },
            &tasks,
        ),
        begin(
            Check::Models,
            SHORT,
            |_| Box::pin(async { panic!("a check that breaks, on purpose") }),
            &tasks,
        ),
        begin(
            Check::Keys,
            SHORT,
            |notes| {
                Box::pin(async move {
                    let broke = apart(|| panic!("a thread that breaks, on purpose")).await;
                    assert!(broke.is_err());
                    notes.fail("thread", ("broke", "told"));
                })
            },
            &tasks,
        ),
        begin(
            Check::Hub,
            SHORT,
            |notes| Box::pin(async move { notes.ok("last", "was reached") }),
            &tasks,
        ),
        begin(Check::Dicom, SHORT, |_| Box::pin(async {}), &tasks),
    ];
    let mut all = Vec::new();
    for one in begun {
        all.push(ended(one).await);
    }
    assert_eq!(
        standings(&all[0]),
        [
            (Standing::Ok, "seen before it hung"),
            (Standing::NotChecked, "was not finished within 1 s")
        ]
    );
    assert_eq!(standings(&all[1]), [(Standing::Failed, "the check itself broke off")]);
    assert_eq!(standings(&all[2]), [(Standing::Failed, "broke")]);
    assert_eq!(standings(&all[3]), [(Standing::Ok, "was reached")]);
    assert_eq!(all[4][0].standing, Standing::NotChecked);
}

#[tokio::test]
async fn without_a_configuration_it_says_so_and_looks_at_nothing_else() {
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nconcurency_max = 3\n";
    let refused = Config::parse("node.toml", text, &BTreeMap::new());
    let patient = Patient { file: None, config: refused, within: None };
    let mut told = 0;
    let all = Box::pin(examine(patient, &Check::ALL, |lines| told += lines.len())).await;
    assert_eq!((all.len(), told), (Check::ALL.len(), Check::ALL.len()));
    assert_eq!(all[0].standing, Standing::Failed);
    assert!(
        all[0].found.contains("concurrency_max") && all[0].found.contains(":3"),
        "{:?}",
        all[0]
    );
    assert!(all[1..].iter().all(|line| line.standing == Standing::NotChecked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_no_node_ever_used_is_fine_and_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.store.dir = folder.path().join("data");
    let patient = Patient { file: None, config: Ok(config), within: None };
    let checks: Vec<Check> =
        Check::ALL.into_iter().filter(|check| *check != Check::Models).collect();
    let all = Box::pin(examine(patient, &checks, |_| {})).await;
    let failed: Vec<_> = all.iter().filter(|line| line.standing == Standing::Failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let order: Vec<Check> = all.iter().map(|line| line.check).collect();
    assert!(order.is_sorted());
}

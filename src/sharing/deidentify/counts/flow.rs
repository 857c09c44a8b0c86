//! Hiding cells until each that needs it could be something else, for all that is shown.
//!
//! Cells are arcs between points, and what goes into a point comes out of it: a point is an equation
//! between cells. Whatever fits the equations differs by circulations through hidden cells. For each cell
//! as much flow is sent around as it lacks, along the way that hides the least.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A cell as an arc.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flowing {
    /// From which point to which.
    pub(super) ends: (usize, usize),
    /// What it counts. One of 0 is shown and never anything else.
    pub(super) count: u64,
    /// What it is at least known to be.
    pub(super) least: u64,
    /// What it is at most known to be; none: anything.
    pub(super) most: Option<u64>,
    /// Whether it is hidden.
    pub(super) hidden: bool,
    /// What hiding it costs.
    pub(super) price: u64,
}

/// Cells and the points between them.
#[derive(Debug)]
pub(super) struct Network {
    cells: Vec<Flowing>,
    /// Arcs that begin or end at each point.
    steps: Vec<Vec<Step>>,
}

/// A cell, seen from one of its ends.
#[derive(Debug, Clone, Copy)]
struct Step {
    cell: usize,
    to: usize,
    /// Whether going along it makes the cell larger.
    grows: bool,
}

impl Network {
    /// Cells between so many points.
    pub(super) fn new(cells: Vec<Flowing>, points: usize) -> Self {
        let mut steps: Vec<Vec<Step>> = vec![Vec::new(); points];
        for (cell, flowing) in cells.iter().enumerate().filter(|(_, flowing)| flowing.count > 0) {
            let (from, to) = flowing.ends;
            for (point, other, grows) in [(from, to, true), (to, from, false)] {
                if let Some(list) = steps.get_mut(point) {
                    list.push(Step { cell, to: other, grows });
                }
            }
        }
        Self { cells, steps }
    }

    /// Whether a cell is hidden.
    pub(super) fn is_hidden(&self, cell: usize) -> bool {
        self.cells.get(cell).is_some_and(|flowing| flowing.hidden)
    }

    /// Hides others until this cell could be larger by so much. What is protected stays so when more is
    /// hidden.
    pub(super) fn protect(&mut self, cell: usize, mut lacks: u64) {
        let Some((tail, head)) = self.cells.get(cell).map(|flowing| flowing.ends) else { return };
        // How much each cell was made larger or smaller already.
        let mut sent: BTreeMap<usize, i64> = BTreeMap::new();
        while lacks > 0 {
            let Some(way) = self.cheapest((head, tail), cell, &sent) else { return };
            let room = |step: &Step| self.room(step, &sent);
            let push = way.iter().map(room).min().unwrap_or(lacks).min(lacks).max(1);
            let signed = i64::try_from(push).unwrap_or(i64::MAX);
            for step in way {
                *sent.entry(step.cell).or_default() += if step.grows { signed } else { -signed };
                if let Some(flowing) = self.cells.get_mut(step.cell) {
                    flowing.hidden = true;
                }
            }
            lacks -= push;
        }
    }

    /// How much can be sent along an arc.
    fn room(&self, step: &Step, sent: &BTreeMap<usize, i64>) -> u64 {
        let Some(flowing) = self.cells.get(step.cell) else { return 0 };
        let now = i64::try_from(flowing.count)
            .unwrap_or(i64::MAX)
            .saturating_add(sent.get(&step.cell).copied().unwrap_or(0));
        let now = u64::try_from(now).unwrap_or(0);
        match (step.grows, flowing.most) {
            (true, None) => u64::MAX,
            (true, Some(most)) => most.saturating_sub(now),
            (false, _) => now.saturating_sub(flowing.least),
        }
    }

    /// The way from one point to another that hides the least, not over the cell itself.
    fn cheapest(
        &self,
        (from, to): (usize, usize),
        without: usize,
        sent: &BTreeMap<usize, i64>,
    ) -> Option<Vec<Step>> {
        let mut best: BTreeMap<usize, (u64, Option<(usize, Step)>)> =
            BTreeMap::from([(from, (0, None))]);
        let mut open = BinaryHeap::from([Reverse((0_u64, from))]);
        while let Some(Reverse((cost, point))) = open.pop() {
            if point == to {
                break;
            }
            if best.get(&point).is_some_and(|(known, _)| *known < cost) {
                continue;
            }
            for step in self.steps.get(point).into_iter().flatten() {
                if step.cell == without || self.room(step, sent) == 0 {
                    continue;
                }
                let next = cost.saturating_add(self.price(step.cell));
                if best.get(&step.to).is_none_or(|(known, _)| next < *known) {
                    best.insert(step.to, (next, Some((point, *step))));
                    open.push(Reverse((next, step.to)));
                }
            }
        }
        let (mut way, mut at) = (Vec::new(), to);
        while at != from {
            let (_, Some((before, step))) = best.get(&at)? else { return None };
            way.push(*step);
            at = *before;
        }
        Some(way)
    }

    /// What hiding a cell costs: nothing if it is hidden.
    fn price(&self, cell: usize) -> u64 {
        self.cells.get(cell).filter(|flowing| !flowing.hidden).map_or(0, |flowing| flowing.price)
    }
}

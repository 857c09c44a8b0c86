//! Load. In the open loop calls are due at times that were drawn before, whatever becomes of the calls
//! before them, and the latency of a call counts from when it was due: a node that stands still for a
//! second makes every call of that second late, not one (no coordinated omission). In the closed loop so
//! many clients each wait for their answer; that tells what they get, and nothing about a queue.
//!
//! Arrivals are those of a Poisson process, as from many clinics that do not know of each other, from a
//! seed. A thread of its own keeps the times, because the runtime's timer is only good to a millisecond;
//! how late it was is told with the rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Failure;
use super::latency::Latencies;
use super::statistics::{Chance, count, number, whole};

/// Between the drawing of the times and the first of them.
const LEAD: Duration = Duration::from_millis(5);
/// Calls a second at most; a rate beyond is none of a clinic's box.
const RATE_MAX: f64 = 10_000_000.0;

/// Load that does not wait for answers.
#[derive(Debug, Clone)]
pub struct OpenLoad {
    /// Calls that are due a second, on average.
    pub per_second: f64,
    /// For how long.
    pub time: Duration,
    /// The same seed gives the same times.
    pub seed: u64,
    /// Calls on their way at most; one that is due beyond is not sent and counts as such.
    pub in_flight_max: usize,
    /// Parts in time that the figures are told of as well.
    pub blocks: usize,
}

/// Load of clients that wait for their answers.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoad {
    /// How many clients.
    pub clients: usize,
    /// For how long.
    pub time: Duration,
    /// Parts in time that the figures are told of as well.
    pub blocks: usize,
}

/// What was seen of a load.
#[derive(Debug)]
pub struct Seen {
    /// Calls that were due.
    pub due: u64,
    /// Calls that were answered well.
    pub done: u64,
    /// Calls that were answered with an error.
    pub failed: u64,
    /// Calls that were due with too many on their way.
    pub unsent: u64,
    /// From the first time to the end of the window or the last answer, whichever is later.
    pub seconds: f64,
    /// Of calls answered well: from due (open) or sent (closed) to the answer.
    pub latency: Latencies,
    /// How late calls were sent after they were due.
    pub late: Latencies,
    /// When calls were due and when good answers came, from the beginning on.
    dues: Latencies,
    ends: Latencies,
    /// Parts in time.
    pub blocks: Vec<Block>,
    /// Calls on their way, on average.
    pub in_flight: f64,
    /// What the first error said.
    pub error: Option<String>,
    /// Length of a block.
    block_seconds: f64,
}

/// A part of a load in time.
#[derive(Debug)]
pub struct Block {
    /// Of calls that were due or sent in it.
    pub latency: Latencies,
    /// Calls whose good answer came in it.
    pub done: u64,
}

impl Seen {
    fn new(blocks: usize, time: Duration) -> Result<Self, Failure> {
        let new = || Ok::<_, Failure>(Block { latency: Latencies::new()?, done: 0 });
        Ok(Self {
            due: 0,
            done: 0,
            failed: 0,
            unsent: 0,
            seconds: 0.0,
            latency: Latencies::new()?,
            late: Latencies::new()?,
            dues: Latencies::new()?,
            ends: Latencies::new()?,
            blocks: (0..blocks.max(1)).map(|_| new()).collect::<Result<_, _>>()?,
            in_flight: 0.0,
            error: None,
            block_seconds: time.as_secs_f64() / count(blocks.max(1)),
        })
    }

    /// Good answers a second.
    pub fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { number(self.done) / self.seconds } else { 0.0 }
    }

    /// How many calls were due a second, from the first hundredth of them to the last.
    pub fn due_per_second(&self) -> f64 {
        middle(&self.dues)
    }

    /// Good answers a second, likewise: what each call takes shifts the answers and does not slow them, and
    /// one late answer at the end does not count for all.
    pub fn answered_per_second(&self) -> f64 {
        middle(&self.ends)
    }

    /// The share of calls that failed or were not sent.
    pub fn failed_share(&self) -> f64 {
        let all = number(self.due);
        if all > 0.0 { number(self.failed + self.unsent) / all } else { 0.0 }
    }

    /// Good answers a second, by block.
    pub fn rates(&self) -> Vec<f64> {
        self.blocks.iter().map(|block| number(block.done) / self.block_seconds).collect()
    }

    /// A quantile by block, in milliseconds; blocks without a call are left out.
    pub fn quantiles(&self, share: f64) -> Vec<f64> {
        let some = self.blocks.iter().filter(|block| !block.latency.is_empty());
        some.map(|block| block.latency.ms(share)).collect()
    }

    fn block_at(&mut self, since: Duration) -> Option<&mut Block> {
        let place = whole(since.as_secs_f64() / self.block_seconds);
        self.blocks.get_mut(usize::try_from(place).ok()?)
    }

    /// One answer.
    fn take(&mut self, begun: Instant, call: Call) {
        let latency = call.answered.saturating_duration_since(call.from);
        self.in_flight += latency.as_secs_f64();
        let ended = call.answered.saturating_duration_since(begun);
        self.seconds = self.seconds.max(ended.as_secs_f64());
        match call.answer {
            Ok(()) => {
                self.done += 1;
                self.latency.record(latency);
                self.ends.record(ended);
                let from = call.from.saturating_duration_since(begun);
                if let Some(block) = self.block_at(from) {
                    block.latency.record(latency);
                }
                if let Some(block) = self.block_at(ended) {
                    block.done += 1;
                }
            }
            Err(error) => {
                self.failed += 1;
                self.error.get_or_insert(error);
            }
        }
    }

    fn ended(mut self) -> Self {
        if self.seconds > 0.0 {
            self.in_flight /= self.seconds;
        }
        self
    }
}

/// How many of `times` there are in a second of their middle 98 %.
fn middle(times: &Latencies) -> f64 {
    let span = (times.ms(0.99) - times.ms(0.01)) / 1_000.0;
    if span > 0.0 { number(times.len()) * 0.98 / span } else { 0.0 }
}

struct Call {
    from: Instant,
    answered: Instant,
    answer: Result<(), String>,
}

/// When calls are due, from the beginning on.
#[derive(Debug)]
pub struct Arrivals {
    chance: Chance,
    per_second: f64,
    at: f64,
    end: f64,
}

impl Arrivals {
    /// The same seed gives the same times. A rate that is none has no arrivals.
    pub fn new(per_second: f64, time: Duration, seed: u64) -> Self {
        Self { chance: Chance::new(seed), per_second, at: 0.0, end: time.as_secs_f64() }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.per_second.is_nan() || self.per_second <= 0.0 || self.per_second > RATE_MAX {
            return None;
        }
        self.at += self.chance.gap() / self.per_second;
        if self.at >= self.end {
            return None;
        }
        Duration::try_from_secs_f64(self.at).ok()
    }
}

/// Runs `call` at its times, each with its number, and tells what was seen once the last was answered.
pub async fn open_loop<F, A>(load: &OpenLoad, call: F) -> Result<Seen, Failure>
where
    F: Fn(u64) -> A,
    A: Future<Output = Result<(), String>> + Send + 'static,
{
    let times = Arrivals::new(load.per_second, load.time, load.seed);
    let mut seen = Seen::new(load.blocks, load.time)?;
    seen.seconds = load.time.as_secs_f64();
    let begun = Instant::now() + LEAD;
    let (ticks, mut due) = mpsc::unbounded_channel();
    let pacer = std::thread::Builder::new().name("bench-pacer".to_owned());
    // It ends by itself: with the last time, or when nobody listens any more.
    let _pacer = pacer.spawn(move || {
        for since in times {
            let at = begun + since;
            let wait = at.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            if ticks.send(at).is_err() {
                return;
            }
        }
    })?;
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            at = due.recv() => {
                let Some(at) = at else { break };
                seen.due += 1;
                seen.dues.record(at.saturating_duration_since(begun));
                if running.len() >= load.in_flight_max {
                    seen.unsent += 1;
                    continue;
                }
                let answer = call(seen.due - 1);
                seen.late.record(at.elapsed());
                running.spawn(async move {
                    let answer = answer.await;
                    Call { from: at, answered: Instant::now(), answer }
                });
            }
            Some(ended) = running.join_next() => seen.take(begun, ended?),
        }
    }
    while let Some(ended) = running.join_next().await {
        seen.take(begun, ended?);
    }
    Ok(seen.ended())
}

/// Lets so many clients call one after the other, each with its number, until the time is over.
pub async fn closed_loop<F, A>(load: ClosedLoad, call: F) -> Result<Seen, Failure>
where
    F: Fn(u64) -> A + Send + Sync + 'static,
    A: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut seen = Seen::new(load.blocks, load.time)?;
    seen.seconds = load.time.as_secs_f64();
    let begun = Instant::now();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let call = Arc::new(call);
    let mut clients = JoinSet::new();
    for client in 0..load.clients {
        let (call, answers) = (Arc::clone(&call), answers.clone());
        let step = u64::try_from(load.clients).unwrap_or(1);
        let mut at = u64::try_from(client).unwrap_or(0);
        clients.spawn(async move {
            loop {
                let from = Instant::now();
                if from.saturating_duration_since(begun) >= load.time {
                    return;
                }
                let answer = call(at).await;
                at += step;
                let is_wrong = answer.is_err();
                if answers.send(Call { from, answered: Instant::now(), answer }).is_err() {
                    return;
                }
                if is_wrong {
                    // A node that refuses at once is not asked without end.
                    tokio::time::sleep(LEAD).await;
                }
            }
        });
    }
    drop(answers);
    while let Some(one) = answered.recv().await {
        seen.due += 1;
        seen.take(begun, one);
    }
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    Ok(seen.ended())
}

#[cfg(test)]
mod tests {
    use tokio::sync::Mutex;

    use super::*;

    /// A server that serves one call after the other, and stands still once: whoever comes then waits.
    struct Stalling {
        line: Mutex<u64>,
        at: u64,
        stall: Duration,
    }

    impl Stalling {
        fn new(at: u64, stall: Duration) -> Arc<Self> {
            Arc::new(Self { line: Mutex::new(0), at, stall })
        }

        async fn serve(self: Arc<Self>) -> Result<(), String> {
            let mut served = self.line.lock().await;
            *served += 1;
            if *served == self.at {
                tokio::time::sleep(self.stall).await;
            }
            Ok(())
        }
    }

    const STALL: Duration = Duration::from_millis(400);

    fn open(per_second: f64, ms: u64) -> OpenLoad {
        let time = Duration::from_millis(ms);
        OpenLoad { per_second, time, seed: 5, in_flight_max: 10_000, blocks: 4 }
    }

    #[test]
    fn arrivals_come_as_often_as_asked_and_alike_from_one_seed() {
        let arrivals = |per_second, seconds, seed| -> Vec<Duration> {
            Arrivals::new(per_second, Duration::from_secs(seconds), seed).collect()
        };
        let times = arrivals(1_000.0, 20, 1);
        assert!((19_400..20_600).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && *times.last().unwrap() < Duration::from_secs(20));
        assert_eq!(times, arrivals(1_000.0, 20, 1));
        assert_ne!(times, arrivals(1_000.0, 20, 2));
        assert!(arrivals(f64::NAN, 1, 1).is_empty());
        assert!(arrivals(0.0, 1, 1).is_empty());
        assert!(arrivals(1e12, 60, 1).is_empty());
    }

    /// A server stands still for 400 ms of two seconds. Of the calls that were due then each is late, so
    /// about a fifth are; one client that waits for its answer sees one late call.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_stands_still_makes_all_late_that_were_due_meanwhile() {
        let server = Stalling::new(100, STALL);
        let seen = open_loop(&open(500.0, 2_000), |_| Arc::clone(&server).serve()).await.unwrap();
        assert_eq!((seen.done, seen.failed, seen.unsent), (seen.due, 0, 0));
        let late = seen.latency.ms(0.9);
        assert!(late > 100.0, "the 90th percentile is {late} ms");
        assert!(seen.latency.max_ms() >= 390.0, "{}", seen.latency.max_ms());
        assert!(seen.in_flight > 8.0, "{}", seen.in_flight);

        let server = Stalling::new(100, STALL);
        let load = ClosedLoad { clients: 1, time: Duration::from_secs(1), blocks: 4 };
        let seen = closed_loop(load, move |_| Arc::clone(&server).serve()).await.unwrap();
        let late = seen.latency.ms(0.99);
        assert!(late < 50.0, "a client that waits sees one late call, not {late} ms at the 99th");
        assert!(seen.latency.max_ms() >= 390.0);
    }

    /// Slow answers are no fewer; a server that takes too long for each falls behind.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_rate_is_kept_up_whatever_a_call_takes_and_not_when_calls_queue() {
        let slow = |_| async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        };
        let seen = open_loop(&open(300.0, 600), slow).await.unwrap();
        let share = seen.answered_per_second() / seen.due_per_second();
        assert!((0.96..1.04).contains(&share), "{share}");
        assert!((seen.due_per_second() / 300.0 - 1.0).abs() < 0.3);

        let line = Arc::new(Mutex::new(()));
        let queue = move |_| {
            let line = Arc::clone(&line);
            async move {
                let _turn = line.lock().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(())
            }
        };
        let seen = open_loop(&open(300.0, 600), queue).await.unwrap();
        let share = seen.answered_per_second() / seen.due_per_second();
        assert!(share < 0.75, "{share}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_due_with_too_many_on_their_way_is_told_and_not_left_out() {
        let load = OpenLoad { in_flight_max: 3, ..open(400.0, 500) };
        let slow = |_| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(())
        };
        let seen = open_loop(&load, slow).await.unwrap();
        assert!(seen.unsent > 100, "{seen:?}");
        assert_eq!(seen.done + seen.unsent, seen.due);
        assert!(seen.failed_share() > 0.5);
        assert!(seen.in_flight <= 3.1, "{}", seen.in_flight);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn errors_are_counted_and_the_first_is_told() {
        let call = |number: u64| async move {
            if number % 4 == 3 { Err(format!("no {number}")) } else { Ok(()) }
        };
        let seen = open_loop(&open(400.0, 500), call).await.unwrap();
        assert_eq!(seen.failed, seen.due / 4);
        assert_eq!(seen.latency.len(), seen.done);
        assert!(seen.error.unwrap().starts_with("no "));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn blocks_add_up_to_the_whole() {
        let seen = open_loop(&open(400.0, 800), |_| async { Ok(()) }).await.unwrap();
        let blocks: u64 = seen.blocks.iter().map(|block| block.latency.len()).sum();
        assert_eq!(blocks, seen.due);
        assert_eq!((seen.rates().len(), seen.quantiles(0.5).len()), (4, 4));
        let rate = super::super::statistics::mean(&seen.rates()).unwrap();
        assert!((rate / 400.0 - 1.0).abs() < 0.3, "{rate}");
    }
}

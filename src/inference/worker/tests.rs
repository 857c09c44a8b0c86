//! Tests of the module above: real threads, fake and real engines.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use ndarray::{Array2, arr2};

use super::super::testing::{FakeEngine, Gate, Log, echo, echoed, gate, rows, start};
use super::*;

struct Bench {
    worker: Worker,
    thread: WorkerThread,
    log: Arc<Log>,
    /// The time the thread and its callers see.
    now: Arc<Mutex<Instant>>,
}

fn bench(engine: Box<dyn Engine>, queue_max: usize, batch_max: usize) -> Bench {
    let log = Arc::new(Log::default());
    let now = Arc::new(Mutex::new(Instant::now()));
    let clock: Clock = {
        let now = Arc::clone(&now);
        Arc::new(move || *now.lock().unwrap())
    };
    let column = |name: &str, width| Column { name: name.to_owned(), width };
    let inputs = [column("findings", 4), column("patient", 2)];
    let options = WorkerOptions { queue_max, batch_max, observer: log.clone(), clock };
    let (worker, thread) =
        Worker::start("fixture", &inputs, &column("probabilities", 3), engine, options).unwrap();
    Bench { worker, thread, log, now }
}

/// An engine that stops at a gate in every run and then echoes.
fn gated() -> (Gate, Box<dyn Engine>) {
    let (gate, barrier) = gate();
    let engine = FakeEngine::scripted(move |findings| {
        barrier.pass(findings.nrows());
        Ok(echo(findings))
    });
    (gate, engine)
}

#[tokio::test]
async fn a_row_is_answered_with_its_probabilities() {
    let Bench { worker, thread, log, .. } =
        bench(FakeEngine::scripted(|rows| Ok(echo(rows))), 4, 4);
    assert_eq!(worker.predict(rows(0.25), None).await.unwrap(), echoed(0.25));
    let mut swapped = rows(0.75);
    swapped.reverse();
    assert_eq!(worker.predict(swapped, None).await.unwrap(), echoed(0.75), "inputs go by name");
    thread.stop();
    assert_eq!(log.batches(), [1, 1]);
    assert!(log.runs.lock().unwrap().iter().all(|run| run.ok));
}

#[tokio::test]
async fn a_full_queue_answers_overloaded_at_once() {
    let (gate, engine) = gated();
    let Bench { worker, log, .. } = bench(engine, 2, 4);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut second = pin!(worker.predict(rows(0.25), None));
    let mut third = pin!(worker.predict(rows(0.5), None));
    start(&mut second).await;
    start(&mut third).await;
    assert_eq!(worker.waiting(), 2);
    let refused = worker.predict(rows(0.75), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "the queue of model `fixture` is full (2 waiting)");
    assert!(matches!(refused, InferenceError::Overloaded { queue_max: 2, .. }));
    gate.open();
    gate.open();
    assert_eq!(running.await.unwrap(), echoed(0.0));
    assert_eq!(second.await.unwrap(), echoed(0.25));
    assert_eq!(third.await.unwrap(), echoed(0.5));
    assert_eq!(log.drops(), [Dropped::Overloaded]);
}

#[tokio::test]
async fn what_waits_runs_as_one_batch_and_everyone_gets_their_own_row() {
    let (gate, engine) = gated();
    let Bench { worker, thread, log, .. } = bench(engine, 8, 3);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let values = [0.1, 0.2, 0.3, 0.4, 0.5];
    let mut waiting: Vec<_> =
        values.iter().map(|&value| Box::pin(worker.predict(rows(value), None))).collect();
    for request in &mut waiting {
        start(&mut request.as_mut()).await;
    }
    for _ in 0..3 {
        gate.open();
    }
    assert_eq!(running.await.unwrap(), echoed(0.0));
    for (request, value) in waiting.into_iter().zip(values) {
        assert_eq!(request.await.unwrap(), echoed(value));
    }
    thread.stop();
    assert_eq!(log.batches(), [1, 3, 2]);
    assert_eq!(log.depths.lock().unwrap().iter().max(), Some(&5));
}

#[tokio::test]
async fn a_request_whose_caller_has_gone_does_not_run() {
    let (gate, engine) = gated();
    let Bench { worker, thread, log, .. } = bench(engine, 8, 8);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut gone = Box::pin(worker.predict(rows(0.25), None));
    start(&mut gone.as_mut()).await;
    let mut stays = pin!(worker.predict(rows(0.5), None));
    start(&mut stays).await;
    drop(gone);
    gate.open();
    gate.open();
    assert_eq!(running.await.unwrap(), echoed(0.0));
    assert_eq!(stays.await.unwrap(), echoed(0.5));
    thread.stop();
    assert_eq!(log.batches(), [1, 1], "the cancelled row ran");
    assert_eq!(log.drops(), [Dropped::Cancelled]);
}

#[tokio::test]
async fn a_batch_of_nothing_but_cancelled_requests_does_not_run() {
    let (gate, engine) = gated();
    let Bench { worker, thread, log, .. } = bench(engine, 8, 8);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut gone = Box::pin(worker.predict(rows(0.25), None));
    start(&mut gone.as_mut()).await;
    drop(gone);
    gate.open();
    assert_eq!(running.await.unwrap(), echoed(0.0));
    thread.stop();
    assert_eq!(log.batches(), [1]);
}

#[tokio::test]
async fn cancelled_requests_make_room_in_a_full_queue() {
    let (gate, engine) = gated();
    let Bench { worker, log, .. } = bench(engine, 1, 4);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut gone = Box::pin(worker.predict(rows(0.25), None));
    start(&mut gone.as_mut()).await;
    drop(gone);
    let mut next = pin!(worker.predict(rows(0.5), None));
    start(&mut next).await;
    assert_eq!(log.drops(), [Dropped::Cancelled]);
    gate.open();
    gate.open();
    assert_eq!(next.await.unwrap(), echoed(0.5));
    assert_eq!(running.await.unwrap(), echoed(0.0));
}

#[tokio::test]
async fn a_request_past_its_deadline_does_not_run() {
    let (gate, engine) = gated();
    let Bench { worker, thread, log, now } = bench(engine, 8, 8);
    let begin = *now.lock().unwrap();
    let late = worker.predict(rows(0.1), Some(begin)).await.unwrap_err();
    assert!(matches!(late, InferenceError::Expired { .. }), "{late}");
    assert!(log.depths.lock().unwrap().is_empty(), "it was queued all the same");
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut hurried = pin!(worker.predict(rows(0.2), Some(begin + Duration::from_millis(50))));
    let mut patient = pin!(worker.predict(rows(0.3), Some(begin + Duration::from_secs(50))));
    start(&mut hurried).await;
    start(&mut patient).await;
    *now.lock().unwrap() = begin + Duration::from_secs(1);
    gate.open();
    gate.open();
    assert_eq!(running.await.unwrap(), echoed(0.0));
    let late = hurried.await.unwrap_err();
    assert_eq!(late.to_string(), "the deadline passed before model `fixture` got to the request");
    assert_eq!(patient.await.unwrap(), echoed(0.3));
    thread.stop();
    assert_eq!(log.batches(), [1, 1]);
    assert_eq!(log.drops(), [Dropped::Expired, Dropped::Expired]);
    assert_eq!(log.runs.lock().unwrap()[1].waited_max, Duration::from_secs(1));
    assert_eq!(log.runs.lock().unwrap()[0].took, Duration::from_secs(1));
}

#[tokio::test]
async fn a_panicking_engine_is_reported_and_nobody_hangs() {
    let (gate, barrier) = gate();
    let engine = FakeEngine::scripted(move |findings| {
        barrier.pass(findings.nrows());
        panic!("table of weights is torn")
    });
    let Bench { worker, thread, log, .. } = bench(engine, 8, 8);
    assert!(worker.is_healthy());
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut waiting = pin!(worker.predict(rows(0.25), None));
    start(&mut waiting).await;
    gate.open();
    let expected = "model `fixture` is not serving: its engine panicked: table of weights is torn";
    assert_eq!(running.await.unwrap_err().to_string(), expected);
    assert_eq!(waiting.await.unwrap_err().to_string(), expected);
    thread.stop();
    assert!(!worker.is_healthy());
    assert_eq!(worker.predict(rows(0.5), None).await.unwrap_err().to_string(), expected);
    assert_eq!(log.batches(), [1]);
    assert!(!log.runs.lock().unwrap()[0].ok);
}

#[tokio::test]
async fn a_panicking_observer_hangs_nobody() {
    struct Touchy;
    impl Observer for Touchy {
        fn ran(&self, _model: &str, _report: &RunReport) {
            panic!("the metrics are full");
        }
    }
    let column = |name: &str, width| Column { name: name.to_owned(), width };
    let (worker, _thread) = Worker::start(
        "fixture",
        &[column("findings", 4), column("patient", 2)],
        &column("probabilities", 3),
        FakeEngine::scripted(|rows| Ok(echo(rows))),
        WorkerOptions {
            queue_max: 4,
            batch_max: 4,
            observer: Arc::new(Touchy),
            clock: Arc::new(Instant::now),
        },
    )
    .unwrap();
    let error = worker.predict(rows(0.5), None).await.unwrap_err();
    assert!(matches!(error, InferenceError::Stopped { .. }), "{error}");
    let error = worker.predict(rows(0.5), None).await.unwrap_err();
    assert!(matches!(error, InferenceError::Stopped { .. }), "{error}");
    assert!(!worker.is_healthy());
}

#[tokio::test]
async fn a_row_that_is_no_set_of_probabilities_fails_alone() {
    let (gate, barrier) = gate();
    let engine = FakeEngine::scripted(move |findings| {
        barrier.pass(findings.nrows());
        let mut answers = echo(findings);
        for mut row in answers.rows_mut() {
            // What an overflow in a model looks like.
            if row[0] > 0.9 {
                row[0] = f32::NAN;
            }
        }
        Ok(answers)
    });
    let Bench { worker, thread, log, .. } = bench(engine, 8, 8);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut odd = pin!(worker.predict(rows(1.0), None));
    let mut sound = pin!(worker.predict(rows(0.5), None));
    start(&mut odd).await;
    start(&mut sound).await;
    gate.open();
    gate.open();
    assert_eq!(running.await.unwrap(), echoed(0.0));
    let error = odd.await.unwrap_err().to_string();
    assert_eq!(error, "the model answered with NaN where a probability was expected");
    assert_eq!(sound.await.unwrap(), echoed(0.5));
    thread.stop();
    assert_eq!(log.batches(), [1, 2]);
    assert!(!log.runs.lock().unwrap()[1].ok);
}

#[tokio::test]
async fn a_failing_run_fails_the_whole_batch_but_not_the_model() {
    let engine = FakeEngine::scripted(|findings| {
        if findings[[0, 0]] > 0.9 {
            return Err(InferenceError::engine("fake", "run the model", std::fmt::Error));
        }
        Ok(echo(findings))
    });
    let Bench { worker, .. } = bench(engine, 8, 8);
    let error = worker.predict(rows(1.0), None).await.unwrap_err();
    assert_eq!(error.to_string(), "fake failed to run the model");
    assert!(error.chain().len() > error.to_string().len(), "the cause is kept");
    assert_eq!(worker.predict(rows(0.5), None).await.unwrap(), echoed(0.5));
    assert!(worker.is_healthy());
}

#[tokio::test]
async fn an_answer_of_another_shape_is_refused() {
    for answer in [arr2(&[[0.5, 0.5]]), Array2::zeros((2, 3)), Array2::zeros((0, 3))] {
        let Bench { worker, .. } = bench(FakeEngine::scripted(move |_| Ok(answer.clone())), 8, 8);
        let error = worker.predict(rows(0.5), None).await.unwrap_err();
        assert!(matches!(error, InferenceError::Output { .. }), "{error}");
        assert!(error.to_string().contains("(1, 3) was expected"), "{error}");
    }
}

#[tokio::test]
async fn rows_that_do_not_fit_never_reach_the_queue() {
    let Bench { worker, thread, log, .. } =
        bench(FakeEngine::scripted(|rows| Ok(echo(rows))), 8, 8);
    let patient = || ("patient", vec![30.0, 0.0]);
    let findings = || ("findings", vec![0.0; 4]);
    let cases = [
        (vec![findings()], "input `patient`: expected a row, found none"),
        (
            vec![("findings", vec![0.0; 3]), patient()],
            "input `findings`: expected 4 numbers, found 3",
        ),
        (
            vec![("findings", vec![f32::NAN; 4]), patient()],
            "input `findings`: expected finite numbers",
        ),
        (
            vec![findings(), ("patient", vec![f32::INFINITY, 0.0])],
            "input `patient`: expected finite numbers",
        ),
        (
            vec![findings(), patient(), ("weight", vec![])],
            "input `weight`: stands twice or is no input",
        ),
        (vec![findings(), patient(), patient()], "input `patient`: stands twice or is no input"),
    ];
    for (rows, expected) in cases {
        assert_eq!(worker.predict(rows, None).await.unwrap_err().to_string(), expected);
    }
    thread.stop();
    assert!(log.batches().is_empty());
}

#[tokio::test]
async fn stopping_answers_what_is_queued_and_takes_no_more() {
    let (gate, engine) = gated();
    let Bench { worker, thread, log, .. } = bench(engine, 8, 1);
    let mut running = pin!(worker.predict(rows(0.0), None));
    start(&mut running).await;
    gate.entered();
    let mut queued = pin!(worker.predict(rows(0.25), None));
    start(&mut queued).await;
    worker.close();
    let error = worker.predict(rows(0.5), None).await.unwrap_err().to_string();
    assert_eq!(error, "model `fixture` is not serving: it is shutting down");
    gate.open();
    gate.open();
    thread.stop();
    assert_eq!(running.await.unwrap(), echoed(0.0));
    assert_eq!(queued.await.unwrap(), echoed(0.25));
    assert_eq!(log.batches(), [1, 1]);
}

#[tokio::test]
async fn dropping_the_handle_ends_the_thread_and_frees_the_engine() {
    let engine_alive = Arc::new(());
    let in_engine = Arc::clone(&engine_alive);
    let engine = FakeEngine::scripted(move |rows| {
        let _ = &in_engine;
        Ok(echo(rows))
    });
    let Bench { worker, thread, .. } = bench(engine, 8, 8);
    assert_eq!(Arc::strong_count(&engine_alive), 2);
    drop(worker);
    thread.thread.join().unwrap();
    assert_eq!(Arc::strong_count(&engine_alive), 1);
}

//! A hub, or what stands before it, that says GOAWAY: nodes dial again by themselves and nothing is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::TestNode;
use crate::records::{
    handed_over, has, hub, hub_with, listed, node, node_in, status, stroke, submit,
};
use crate::region::until;

/// HTTP/2: bytes of a frame's head, and the type of GOAWAY.
const HEAD_BYTES: usize = 9;
const GOAWAY: u8 = 7;

/// Passes HTTP/2 on to a hub, frame by frame, and says GOAWAY in its name when told to.
struct Between {
    address: SocketAddr,
    hub: watch::Sender<SocketAddr>,
    /// The last stream that counts.
    say: watch::Sender<Option<u32>>,
    lines: Arc<AtomicUsize>,
    /// GOAWAY that the hub itself said.
    heard: Arc<AtomicUsize>,
}

/// A frame with its head; none at the end.
async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; HEAD_BYTES];
    from.read_exact(&mut frame).await.ok()?;
    let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
    frame.resize(HEAD_BYTES + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut frame[HEAD_BYTES..]).await.ok()?;
    Some(frame)
}

impl Between {
    async fn new(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let between = Self {
            address: listener.local_addr().unwrap(),
            hub: watch::Sender::new(hub),
            say: watch::Sender::new(None),
            lines: Arc::default(),
            heard: Arc::default(),
        };
        let (hub, say) = (between.hub.subscribe(), between.say.subscribe());
        let (lines, heard) = (Arc::clone(&between.lines), Arc::clone(&between.heard));
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = *hub.borrow();
                let Ok(far) = TcpStream::connect(far).await else { continue };
                lines.fetch_add(1, Ordering::Relaxed);
                let mut say = say.clone();
                say.mark_unchanged();
                tokio::spawn(pass((near, far), say, Arc::clone(&heard)));
            }
        });
        between
    }

    fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }
}

async fn pass(
    (near, far): (TcpStream, TcpStream),
    mut say: watch::Receiver<Option<u32>>,
    heard: Arc<AtomicUsize>,
) {
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
        (near.into_split(), far.into_split());
    let (frames, mut next) = mpsc::channel(64);
    let back = async move {
        while let Some(frame) = frame(&mut far_in).await {
            if frame[3] == GOAWAY {
                heard.fetch_add(1, Ordering::Relaxed);
            }
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    };
    let out = async move {
        loop {
            tokio::select! {
                frame = next.recv() => {
                    let Some(frame) = frame else { return };
                    if near_out.write_all(&frame).await.is_err() {
                        return;
                    }
                }
                Ok(()) = say.changed() => {
                    let Some(last) = *say.borrow_and_update() else { continue };
                    // Length 8, no flags, stream 0; the last stream, and no error.
                    let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
                    frame.extend_from_slice(&last.to_be_bytes());
                    frame.extend_from_slice(&0_u32.to_be_bytes());
                    if near_out.write_all(&frame).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = back => {}
        () = out => {}
        _ = tokio::io::copy(&mut near_in, &mut far_out) => {}
    }
}

async fn submit_some(node: &TestNode, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let mut names = Vec::new();
    for number in numbers {
        names.push(submit(node, stroke(&format!("CYXJ-{number}"))).await.name);
    }
    names
}

/// The village has these, each once, and nothing else.
async fn all_there(county: &TestNode, village: &TestNode, names: &[String]) {
    handed_over(county).await;
    has(village, names.last().unwrap(), 1).await;
    let mut found: Vec<String> = listed(village).await.into_iter().map(|line| line.name).collect();
    let mut expected = names.to_vec();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(usize::try_from(status(village).await.received).unwrap(), names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_shut_down_says_goaway_and_nodes_come_to_the_next() {
    let first = hub().await;
    let between = Between::new(first.node.link_address().unwrap()).await;
    let data = tempfile::tempdir().unwrap();
    let county = node_in("county", &between.address.to_string(), data).await;
    let data = tempfile::tempdir().unwrap();
    let village = node_in("village", &between.address.to_string(), data).await;
    let mut names = submit_some(&county, 1..=5).await;
    all_there(&county, &village, &names).await;
    let lines = between.lines();
    // While documents are under way.
    let stops = async {
        let TestNode { node: running, data, .. } = first;
        assert!(running.stop().await);
        data
    };
    let (more, data) = tokio::join!(submit_some(&county, 6..=30), stops);
    names.extend(more);
    assert!(between.heard.load(Ordering::Relaxed) >= 2, "the hub says GOAWAY on each line");
    // The same documents behind another address.
    let second = hub_with(data, |_| ()).await;
    between.hub.send_replace(second.node.link_address().unwrap());
    all_there(&county, &village, &names).await;
    assert!(between.lines() >= lines + 2, "both dialled again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goaway_in_the_middle_of_the_streams_loses_nothing() {
    let hub = hub().await;
    let between = Between::new(hub.node.link_address().unwrap()).await;
    let data = tempfile::tempdir().unwrap();
    let county = node_in("county", &between.address.to_string(), data).await;
    let village = node("village", &hub).await;
    let mut names = submit_some(&county, 1..=3).await;
    all_there(&county, &village, &names).await;
    // No stream was taken; the first; all that there are, which may end in peace.
    for (round, last) in (0..).zip([0, 1, (1 << 31) - 1]) {
        let lines = between.lines();
        let (begin, say) = (4 + round * 20, &between.say);
        let says = async {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            say.send_replace(Some(last));
        };
        let (more, ()) = tokio::join!(submit_some(&county, begin..=begin + 19), says);
        names.extend(more);
        all_there(&county, &village, &names).await;
        if last < 3 {
            until("it dials again", async || (between.lines() > lines).then_some(())).await;
        }
    }
    // And it goes on being asked and answered.
    let request = pb::GetExchangeStatusRequest {};
    let told = crate::records::exchange(&county).get_exchange_status(request).await.unwrap();
    assert_eq!(told.into_inner().stuck, []);
}

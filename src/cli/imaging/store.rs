//! `xiangyi imaging store`: files and folders into a node, with progress and a summary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::super::client::{Client, readable};
use super::super::{Failure, Target, json, say};
use super::{open, service, show};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::store_objects_request::Part;
use crate::rpc::proto::xiangyi::imaging::v1::store_objects_response::Part as Reply;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of what the node takes.
const AHEAD: usize = 8;
/// How often progress is told.
const PROGRESS_EVERY: usize = 100;
/// Folders inside one another at most.
const DEPTH_MAX: usize = 64;
/// Characters of an object's name at most; the end of a path tells it apart.
const NAME_CHARS_MAX: usize = 200;

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// DICOM files, or folders with such
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Print each result and the summary as JSON, one line each, in the form of the contract
    /// (`StoreObjectsResponse`)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: StoreArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut files = Vec::new();
    for path in &args.paths {
        collect(path, 0, &mut files).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if files.is_empty() {
        return Err("there is no file to store".into());
    }
    let total = files.len();
    let (messages, outgoing) = mpsc::channel(AHEAD);
    // Reading and telling go side by side; when the node ends the talk, reading ends too.
    let (sent, told) =
        tokio::join!(send(files, messages), receive(&client, outgoing, total, args.json));
    let summary = told?;
    sent?;
    if !args.json {
        say(&show::stored(&summary))?;
    }
    Ok(if summary.refused_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn send(
    files: Vec<PathBuf>,
    messages: mpsc::Sender<pb::StoreObjectsRequest>,
) -> Result<(), Failure> {
    let message = |part| pb::StoreObjectsRequest { part: Some(part) };
    for path in files {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
        let size = file.metadata().await.map_err(failed)?.len();
        let start = pb::ObjectStart {
            object_id: named(&path),
            form: pb::ObjectForm::File.into(),
            size_bytes: Some(size),
            ..pb::ObjectStart::default()
        };
        // A node that no longer listens has said why.
        if messages.send(message(Part::Start(start))).await.is_err() {
            return Ok(());
        }
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let most = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
            let read = (&mut file).take(most).read_to_end(&mut chunk).await.map_err(failed)?;
            if read == 0 {
                break;
            }
            if messages.send(message(Part::Chunk(Bytes::from(chunk)))).await.is_err() {
                return Ok(());
            }
        }
        if messages.send(message(Part::End(pb::ObjectEnd {}))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn receive(
    client: &Client,
    outgoing: mpsc::Receiver<pb::StoreObjectsRequest>,
    total: usize,
    as_json: bool,
) -> Result<pb::StoreSummary, Failure> {
    let request = client.signed(ReceiverStream::new(outgoing));
    let replies = service(client)?.store_objects(request).await;
    let mut replies = replies.map_err(|s| readable(&s))?.into_inner();
    let (mut done, mut summary) = (0, None);
    while let Some(reply) = replies.message().await.map_err(|s| readable(&s))? {
        if as_json {
            let text = json::print("xiangyi.imaging.v1.StoreObjectsResponse", &reply)?;
            let value: serde_json::Value = serde_json::from_str(&text)?;
            say(&format!("{value}\n"))?;
        }
        match reply.part {
            Some(Reply::Result(result)) => {
                done += 1;
                if !as_json && let Some(line) = show::worth_telling(&result) {
                    say(&line)?;
                }
                if done % PROGRESS_EVERY == 0 {
                    // Nothing is left to do when standard error is closed.
                    let _ = writeln!(std::io::stderr().lock(), "{done} of {total} files");
                }
            }
            Some(Reply::Summary(found)) => summary = Some(found),
            None => {}
        }
    }
    Ok(summary.ok_or("the node ended the stream without a summary")?)
}

/// Every file at or below `path`, in order. Hidden ones and DICOMDIR indexes are passed over.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Err(std::io::Error::other("folders are nested too deeply"));
    }
    let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with('.') || name.eq_ignore_ascii_case("DICOMDIR")) {
            collect(&entry.path(), depth + 1, files)?;
        }
    }
    Ok(())
}

fn named(path: &Path) -> String {
    let text = path.to_string_lossy();
    let skip = text.chars().count().saturating_sub(NAME_CHARS_MAX);
    text.chars().skip(skip).collect()
}

//! `xiangyi imaging get`: a study as DICOM files. A file that is not whole ends in `.part` and goes
//! on where it stopped the next time.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;

use super::super::client::{Client, readable};
use super::super::{Failure, Target, say};
use super::{open, service};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::imaging_service_client::ImagingServiceClient;
use crate::rpc::proto::xiangyi::imaging::v1::retrieve_object_response::Part;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::part10::{self, BEGINNING_BYTES};

/// Bytes read at once of what is there already.
const READ_BYTES: usize = 1024 * 1024;
/// How often progress is told.
const PROGRESS_EVERY: usize = 100;

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Study instance UID
    #[arg(long, value_name = "UID")]
    study: String,
    /// Only this series
    #[arg(long, value_name = "UID", default_value = "")]
    series: String,
    /// Folder for the files, one for each instance; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was fetched as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What is there of an object from an earlier time.
struct Begun {
    file: std::fs::File,
    /// Bytes of the data set.
    offset: u64,
    hash: Sha256,
}

pub(super) async fn run(args: GetArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let place = args.out.display();
    std::fs::create_dir_all(&args.out).map_err(|e| format!("{place}: {e}"))?;
    let mut request = pb::GetStudyMetadataRequest {
        study_uid: args.study,
        series_uid: args.series,
        page_size: 1000,
        ..pb::GetStudyMetadataRequest::default()
    };
    let (mut fetched, mut there, mut bytes) = (0_usize, 0_usize, 0_u64);
    loop {
        let page = service.get_study_metadata(client.dressed(request.clone())).await;
        let page = page.map_err(|s| readable(&s))?.into_inner();
        for instance in page.series.iter().flat_map(|s| &s.instances) {
            let uid = &instance.sop_instance_uid;
            // A UID makes a file's name; from a node that is none of ours it could be a path.
            if uid.is_empty() || !uid.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                return Err("the node sent a UID that is none".into());
            }
            let path = args.out.join(format!("{uid}.dcm"));
            if path.try_exists()? {
                there += 1;
                continue;
            }
            bytes += fetch(&client, &mut service, uid, &path).await?;
            fetched += 1;
            if fetched % PROGRESS_EVERY == 0 {
                // Nothing is left to do when standard error is closed.
                let _ = writeln!(std::io::stderr().lock(), "{fetched} instances, {bytes} bytes");
            }
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if args.json {
        let folder = place.to_string();
        let line = serde_json::json!({
            "folder": folder, "fetched": fetched, "there_already": there, "bytes": bytes,
        });
        say(&format!("{line}\n"))?;
    } else {
        say(&format!("{place}：取回 {fetched} 个，已有 {there} 个，{bytes} 字节，摘要均相符\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fetches one object to `path`; the bytes that came now.
async fn fetch(
    client: &Client,
    service: &mut ImagingServiceClient<Channel>,
    instance: &str,
    path: &Path,
) -> Result<u64, Failure> {
    let part = path.with_extension("part");
    let failed = |e: std::io::Error| format!("{}: {e}", part.display());
    let begun = begun(&part).map_err(failed)?;
    let offset = begun.as_ref().map_or(0, |b| b.offset);
    let request = pb::RetrieveObjectRequest {
        sop_instance_uid: instance.to_owned(),
        offset,
        ..pb::RetrieveObjectRequest::default()
    };
    let parts = service.retrieve_object(client.signed(request)).await;
    let mut parts = parts.map_err(|s| readable(&s))?.into_inner();
    let (mut begun, mut came, mut said) = (begun, 0, String::new());
    while let Some(message) = parts.message().await.map_err(|s| readable(&s))? {
        match message.part {
            Some(Part::Header(header)) if begun.is_none() => {
                let mut file = std::fs::File::create(&part).map_err(failed)?;
                file.write_all(&header.file_meta).map_err(failed)?;
                begun = Some(Begun { file, offset: 0, hash: Sha256::new() });
            }
            Some(Part::Chunk(chunk)) => {
                let Some(begun) = &mut begun else { return Err("the node sent no header".into()) };
                begun.hash.update(&chunk.data);
                begun.file.write_all(&chunk.data).map_err(failed)?;
                came += u64::try_from(chunk.data.len()).unwrap_or(0);
            }
            Some(Part::Verified(end)) => said = end.sha256,
            Some(Part::Header(_)) | None => {}
        }
    }
    let Some(begun) = begun else { return Err("the node sent no header".into()) };
    let digest = Digest(begun.hash.finalize().into()).to_string();
    if digest != said {
        std::fs::remove_file(&part).map_err(failed)?;
        return Err(format!("{instance}: what was fetched is not what the node keeps").into());
    }
    begun.file.sync_all().map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)?;
    Ok(came)
}

/// What is there already; a beginning that cannot be read is begun anew.
fn begun(part: &Path) -> std::io::Result<Option<Begun>> {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(part);
    let mut file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut beginning = Vec::new();
    let most = u64::try_from(BEGINNING_BYTES).unwrap_or(u64::MAX);
    (&mut file).take(most).read_to_end(&mut beginning)?;
    let Ok(opening) = part10::open(&beginning) else { return Ok(None) };
    file.seek(SeekFrom::Start(u64::try_from(opening.data_set).unwrap_or(0)))?;
    let (mut hash, mut offset, mut buffer) = (Sha256::new(), 0, vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Some(Begun { file, offset, hash }));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        offset += u64::try_from(read).unwrap_or(0);
    }
}

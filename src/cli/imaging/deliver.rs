//! `xiangyi imaging deliver`: a study over a thin link. What was delivered lies in a folder with the
//! token of the last part, from which the next run goes on.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sha2::{Digest as _, Sha256};

use super::super::client::readable;
use super::super::{Failure, Target, say};
use super::{open, service};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::deliver_study_response::Part;
use crate::sharing::imaging::object::Digest;

/// Name of the file with the token.
const TOKEN: &str = "deliver.token";

#[derive(Debug, Args)]
pub(super) struct DeliverArgs {
    /// Study instance UID
    #[arg(long, value_name = "UID")]
    study: String,
    /// Only this series
    #[arg(long, value_name = "UID", default_value = "")]
    series: String,
    /// Folder for what is delivered; made if it is not there. A run goes on where the one before
    /// with the same folder stopped
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// SOP instance UID of a key image; may be given several times
    #[arg(long, value_name = "UID")]
    key: Vec<String>,
    /// Fetch the objects too
    #[arg(long)]
    objects: bool,
    /// Bytes at most in this run; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    bytes: u64,
    /// Print what was delivered as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What came in a run.
#[derive(Debug, Default)]
struct Came {
    sheets: u64,
    images: u64,
    objects: u64,
    skipped: u64,
    bytes: u64,
    complete: bool,
}

/// What is written to.
struct Folder {
    path: PathBuf,
    /// UID of the object that comes now, and bytes before its data set.
    object: Option<(String, u64)>,
    came: Came,
}

pub(super) async fn run(args: DeliverArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let place = args.out.display().to_string();
    std::fs::create_dir_all(&args.out).map_err(|e| format!("{place}: {e}"))?;
    let token = args.out.join(TOKEN);
    let resume_token = match std::fs::read_to_string(&token) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{}: {error}", token.display()).into()),
    };
    let request = pb::DeliverStudyRequest {
        study_uid: args.study,
        series_uid: args.series,
        key_sop_instance_uids: args.key,
        objects: args.objects,
        bytes_max: args.bytes,
        resume_token,
        ..pb::DeliverStudyRequest::default()
    };
    let parts = service.deliver_study(client.signed(request)).await;
    let mut parts = parts.map_err(|s| readable(&s))?.into_inner();
    let mut folder = Folder { path: args.out, object: None, came: Came::default() };
    while let Some(message) = parts.message().await.map_err(|s| readable(&s))? {
        if let Some(part) = message.part {
            folder.take(part)?;
        }
        write(&token, message.resume_token.as_bytes())?;
    }
    let Came { sheets, images, objects, skipped, bytes, complete } = folder.came;
    if args.json {
        let line = serde_json::json!({
            "folder": place, "sheets": sheets, "images": images, "objects": objects,
            "skipped": skipped, "bytes": bytes, "complete": complete,
        });
        say(&format!("{line}\n"))?;
    } else {
        let end = if complete { "已全部送达" } else { "流量用尽，再次运行将继续" };
        say(&format!(
            "{place}：缩略图 {sheets}，关键图 {images}，对象 {objects}，未能送达 {skipped}，\
             {bytes} 字节；{end}\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Folder {
    fn take(&mut self, part: Part) -> Result<(), Failure> {
        match part {
            Part::Plan(_) => {}
            Part::Sheet(sheet) => {
                let image = sheet.sheet.unwrap_or_default().image;
                write(&self.file(&sheet.series_uid, "sheet.jpg")?, &image)?;
                self.came.sheets += 1;
                self.count(&image);
            }
            Part::Image(drawn) => {
                let image = drawn.image.unwrap_or_default().image;
                let name = format!("{}.jpg", drawn.frame);
                write(&self.file(&drawn.sop_instance_uid, &name)?, &image)?;
                self.came.images += 1;
                self.count(&image);
            }
            Part::Header(header) => {
                let path = self.file(&header.sop_instance_uid, "part")?;
                // An object that goes on keeps what is there of it.
                if !path.try_exists()? {
                    write(&path, &header.file_meta)?;
                }
                let meta = u64::try_from(header.file_meta.len()).unwrap_or(0);
                self.object = Some((header.sop_instance_uid, meta));
            }
            Part::Chunk(chunk) => {
                let (path, meta) = self.part()?;
                let mut file = std::fs::OpenOptions::new().write(true).open(&path)?;
                // What was written after the token was kept is written again.
                file.seek(SeekFrom::Start(meta.saturating_add(chunk.offset)))?;
                file.write_all(&chunk.data)?;
                self.count(&chunk.data);
            }
            Part::Verified(end) => self.verified(&end.sha256)?,
            Part::Skipped(skipped) => {
                self.came.skipped += 1;
                let of = if skipped.sop_instance_uid.is_empty() {
                    &skipped.series_uid
                } else {
                    &skipped.sop_instance_uid
                };
                say(&format!("未能送达 {of}：{}\n", skipped.reason))?;
            }
            Part::Ended(ended) => {
                self.came.complete = ended.reason() == pb::DeliveryEnd::Complete;
            }
        }
        Ok(())
    }

    /// Holds an object to what the node says of it.
    fn verified(&mut self, said: &str) -> Result<(), Failure> {
        let (part, meta) = self.part()?;
        let bytes = std::fs::read(&part)?;
        let data_set = bytes.get(usize::try_from(meta)?..).unwrap_or_default();
        let (uid, _) = self.object.take().unwrap_or_default();
        if Digest(Sha256::digest(data_set).into()).to_string() != said {
            std::fs::remove_file(&part)?;
            let what = "what came is not what the node keeps: remove the token and run again";
            return Err(format!("{uid}: {what}").into());
        }
        std::fs::rename(&part, self.file(&uid, "dcm")?)?;
        self.came.objects += 1;
        Ok(())
    }

    /// The file of the object that comes now, and bytes before its data set.
    fn part(&self) -> Result<(PathBuf, u64), Failure> {
        let (uid, meta) = self.object.as_ref().ok_or("the node sent no header")?;
        Ok((self.file(uid, "part")?, *meta))
    }

    /// A UID makes a file's name; from a node that is none of ours it could be a path.
    fn file(&self, uid: &str, end: &str) -> Result<PathBuf, Failure> {
        if uid.is_empty() || !uid.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err("the node sent a UID that is none".into());
        }
        Ok(self.path.join(format!("{uid}.{end}")))
    }

    fn count(&mut self, bytes: &[u8]) {
        self.came.bytes += u64::try_from(bytes.len()).unwrap_or(0);
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()).into())
}

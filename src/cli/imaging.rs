//! `xiangyi imaging`: images of a running node at the command line.

mod analyse;
mod custody;
mod deliver;
mod fetch;
mod get;
mod recognition;
mod show;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tonic::transport::Channel;

pub(in crate::cli) use self::show::moment;
use super::client::{Client, readable};
use super::serve::answer;
use super::{Failure, Target, say};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::imaging_service_client::ImagingServiceClient;

/// Largest answer taken, in bytes: a drawn frame.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct ImagingArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store DICOM files, and all files in folders
    Store(store::StoreArgs),
    /// Find studies
    Search(Box<SearchArgs>),
    /// Have the node fetch a study that another node of the region holds, and keep a copy
    Fetch(fetch::FetchArgs),
    /// Save a study of the node as DICOM files; what broke off goes on where it stopped
    Get(Box<get::GetArgs>),
    /// Draw a frame, or a series as one contact sheet
    Render(Box<RenderArgs>),
    /// Fetch a study over a thin link: contact sheets, key images, then the objects
    Deliver(Box<deliver::DeliverArgs>),
    /// Have imaging models look at a study; what they say is kept as a suggestion
    Analyse(Box<analyse::AnalyseArgs>),
    /// List the imaging models of a node, and those that it refused
    Models(Box<analyse::ModelsArgs>),
    /// Place a legal hold on a study: nothing of it is erased until it is lifted
    Hold(custody::HoldArgs),
    /// Lift a legal hold
    Release(custody::ReleaseArgs),
    /// List legal holds
    Holds(custody::HoldsArgs),
    /// Erase a study or an object for good
    Erase(Box<custody::EraseArgs>),
    /// Ask whether an examination the patient has had stands in the place of a planned one
    Assess(Box<recognition::AssessArgs>),
}

#[derive(Debug, Args)]
struct SearchArgs {
    /// Patient ID; `*` and `?` are wildcards, as in all texts here
    #[arg(long, value_name = "ID", default_value = "")]
    patient_id: String,
    /// Patient's name
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// The name may be pinyin, initials of pinyin, or beginnings
    #[arg(long, requires = "name")]
    fuzzy: bool,
    /// Birth date, `1960-01-31`
    #[arg(long, value_name = "DAY", default_value = "")]
    born: String,
    /// Accession number
    #[arg(long, value_name = "NUMBER", default_value = "")]
    accession: String,
    /// First day, `2026-11-01`
    #[arg(long, value_name = "DAY", default_value = "")]
    from: String,
    /// Last day
    #[arg(long, value_name = "DAY", default_value = "")]
    to: String,
    /// Modality, for example `CT`; may be given several times
    #[arg(long, value_name = "CODE")]
    modality: Vec<String>,
    /// `brain`, `chest`, `cardiovascular` or `other`; may be given several times
    #[arg(long, value_name = "NAME", value_parser = programme)]
    programme: Vec<pb::Programme>,
    /// Body region by id, for example `head`; may be given several times
    #[arg(long, value_name = "ID")]
    region: Vec<String>,
    /// Examination by id, for example `ct.brain.plain` or `ct.brain*`; may be given several times
    #[arg(long, value_name = "ID")]
    examination: Vec<String>,
    /// Institution's name
    #[arg(long, value_name = "NAME", default_value = "")]
    institution: String,
    /// Look in the whole region: a patient must be named, by ID, or by name and birth date
    #[arg(long)]
    everywhere: bool,
    /// Studies at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    count: u32,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct RenderArgs {
    /// SOP instance UID of the object whose frame is drawn
    #[arg(long, value_name = "UID", required_unless_present = "series", conflicts_with = "series")]
    instance: Option<String>,
    /// Series instance UID of a contact sheet
    #[arg(long, value_name = "UID", requires = "study")]
    series: Option<String>,
    /// Study instance UID of a contact sheet
    #[arg(long, value_name = "UID")]
    study: Option<String>,
    /// File to write; one that ends in `.png` is a PNG, any other a JPEG
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Frame, from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    frame: u32,
    /// Window: `centre,width`, for example `40,80`; `full`; or the number of one of the object's
    #[arg(long, value_name = "WINDOW", value_parser = window, allow_hyphen_values = true)]
    window: Option<pb::Window>,
    /// Pixels across and down at most
    #[arg(long, value_name = "PIXELS", default_value_t = 1024)]
    size: u32,
    /// Bytes of a contact sheet at most
    #[arg(long, value_name = "BYTES", default_value_t = 300_000)]
    bytes: u32,
    /// Draw overlays in
    #[arg(long)]
    overlays: bool,
    /// Print what was drawn, without the image, as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: ImagingArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Store(args) => store::run(args).await,
        Command::Search(args) => search(*args).await,
        Command::Fetch(args) => fetch::run(args).await,
        Command::Get(args) => get::run(*args).await,
        Command::Render(args) => render(*args).await,
        Command::Deliver(args) => deliver::run(*args).await,
        Command::Analyse(args) => analyse::run(*args).await,
        Command::Models(args) => analyse::models(*args).await,
        Command::Hold(args) => custody::hold(args).await,
        Command::Release(args) => custody::release(args).await,
        Command::Holds(args) => custody::holds(args).await,
        Command::Erase(args) => custody::erase(*args).await,
        Command::Assess(args) => recognition::run(*args).await,
    }
}

/// Where to look.
fn scope(everywhere: bool) -> pb::SearchScope {
    if everywhere { pb::SearchScope::Region } else { pb::SearchScope::Node }
}

/// The service of a running node.
fn service(client: &Client) -> Result<ImagingServiceClient<Channel>, Failure> {
    Ok(ImagingServiceClient::new(client.node()?).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// Connects to the node that `--server` names, before anything is loaded here.
async fn open(target: &Target) -> Result<Client, Failure> {
    if target.server.is_none() {
        return Err("images lie in a node: name it with --server, for example --server \
                    http://127.0.0.1:50051"
            .into());
    }
    Client::open(target).await
}

async fn search(args: SearchArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let mut request = pb::SearchStudiesRequest {
        patient_id: args.patient_id,
        patient_name: args.name,
        fuzzy_name: args.fuzzy,
        birth_date: args.born,
        accession_number: args.accession,
        date_from: args.from,
        date_to: args.to,
        modalities: args.modality,
        programmes: args.programme.into_iter().map(Into::into).collect(),
        regions: args.region,
        examinations: args.examination,
        institution: args.institution,
        scope: scope(args.everywhere).into(),
        ..pb::SearchStudiesRequest::default()
    };
    let wanted = usize::try_from(args.count.max(1)).unwrap_or(usize::MAX);
    let mut found = pb::SearchStudiesResponse::default();
    loop {
        let left = wanted.saturating_sub(found.studies.len()).min(200);
        request.page_size = u32::try_from(left).unwrap_or(200);
        let page = service.search_studies(client.dressed(request.clone())).await;
        let page = page.map_err(|s| readable(&s))?.into_inner();
        found.studies.extend(page.studies);
        found.next_page_token = page.next_page_token;
        found.region = page.region;
        if found.next_page_token.is_empty() || found.studies.len() >= wanted {
            break;
        }
        request.page_token.clone_from(&found.next_page_token);
    }
    answer(args.json, "xiangyi.imaging.v1.SearchStudiesResponse", &found, || {
        show::studies(&found)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn render(args: RenderArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let png = args.out.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    let (image, width, height) = match (args.instance, args.series) {
        (Some(sop_instance_uid), _) => {
            let format = if png { pb::ImageFormat::Png } else { pb::ImageFormat::Jpeg };
            let request = pb::RenderFrameRequest {
                sop_instance_uid,
                frame: args.frame,
                window: args.window,
                width_max: args.size,
                height_max: args.size,
                overlays: args.overlays,
                format: format.into(),
                ..pb::RenderFrameRequest::default()
            };
            let drawn = service.render_frame(client.dressed(request)).await;
            let drawn = drawn.map_err(|s| readable(&s))?.into_inner();
            (drawn.image, drawn.width, drawn.height)
        }
        (None, series) => {
            if png {
                return Err("a contact sheet is a JPEG: name a file that ends in .jpg".into());
            }
            let request = pb::RenderContactSheetRequest {
                study_uid: args.study.unwrap_or_default(),
                series_uid: series.unwrap_or_default(),
                bytes_max: args.bytes,
                window: args.window,
                ..pb::RenderContactSheetRequest::default()
            };
            let drawn = service.render_contact_sheet(client.dressed(request)).await;
            let drawn = drawn.map_err(|s| readable(&s))?.into_inner();
            (drawn.image, drawn.width, drawn.height)
        }
    };
    let place = args.out.display();
    std::fs::write(&args.out, &image).map_err(|e| format!("{place}: {e}"))?;
    if args.json {
        let bytes = image.len();
        let file = place.to_string();
        let line =
            serde_json::json!({ "file": file, "width": width, "height": height, "bytes": bytes });
        say(&format!("{line}\n"))?;
    } else {
        say(&format!("{place}：{width} × {height} 像素，{} 字节\n", image.len()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn programme(text: &str) -> Result<pb::Programme, String> {
    match text {
        "brain" => Ok(pb::Programme::Brain),
        "chest" => Ok(pb::Programme::Chest),
        "cardiovascular" => Ok(pb::Programme::Cardiovascular),
        "other" => Ok(pb::Programme::Other),
        _ => Err("must be brain, chest, cardiovascular or other".to_owned()),
    }
}

fn window(text: &str) -> Result<pb::Window, String> {
    use pb::window::Choice;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let choice = match text.split_once(',') {
        Some((center, width)) => {
            let both = number(center).zip(number(width));
            let (center, width) = both.ok_or("must be two numbers: centre,width")?;
            let function = pb::WindowFunction::Unspecified.into();
            Choice::Explicit(pb::ExplicitWindow { center, width, function })
        }
        None if text == "full" => Choice::Full(true),
        None => {
            let index = text.parse().map_err(|_| "must be centre,width, or full, or a number")?;
            Choice::Index(index)
        }
    };
    Ok(pb::Window { choice: Some(choice) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_in_their_three_forms_and_nothing_else() {
        use pb::window::Choice;
        let explicit = window("-600,1500").unwrap().choice;
        assert!(matches!(explicit, Some(Choice::Explicit(w)) if w.center < -599.0));
        assert_eq!(window("full").unwrap().choice, Some(Choice::Full(true)));
        assert_eq!(window("2").unwrap().choice, Some(Choice::Index(2)));
        for bad in ["", "a,b", "1,", "NaN,1", "-1"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }
}

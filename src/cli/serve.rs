//! `xiangyi serve`: a node until SIGTERM.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, json, say};
use crate::app::access::Caller;
use crate::app::chain;
use crate::config::{Config, client_variable};
use crate::node::Node;
use crate::{lifecycle, telemetry};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Configuration file; without it `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the addresses as one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    let path = args.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
    let config = Config::load(path.as_deref())?;
    telemetry::start_logging(&config.log);
    lifecycle::keep_memory_private();
    lifecycle::raise_files_max();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut termination = lifecycle::Termination::listen()?;
    let node = Node::start(config).await?;
    let (address, metrics) = (node.address(), node.metrics_address());
    let (dicom, web, nodes_at) = (node.dicom_address(), node.web_address(), node.link_address());
    let fhir = node.fhir_address();
    if args.json {
        let line = serde_json::json!({
            "grpc": address, "metrics": metrics, "dicom": dicom, "web": web,
            "fhir": fhir,
            "link": nodes_at,
        });
        say(&format!("{line}\n"))?;
    } else {
        say(&format!("xiangyi serves gRPC on {address}\n"))?;
        if let Some(dicom) = dicom {
            say(&format!("DICOM on {dicom}\n"))?;
        }
        if let Some(web) = web {
            say(&format!("DICOMweb on {web}/dicom-web\n"))?;
        }
        if let Some(fhir) = fhir {
            say(&format!("FHIR on {fhir}/fhir\n"))?;
        }
        if let Some(address) = nodes_at {
            say(&format!("nodes dial in on {address}\n"))?;
        }
        if let Some(metrics) = metrics {
            say(&format!("metrics on http://{metrics}/metrics\n"))?;
        }
    }
    lifecycle::tell_ready();
    let by_itself = loop {
        tokio::select! {
            () = termination.received() => break false,
            () = node.failed() => break true,
            _ = hangup.recv() => reload(&node).await,
        }
    };
    lifecycle::tell_stopping();
    tracing::info!("draining");
    let drained = node.stop().await;
    if !drained {
        tracing::warn!("calls were cut off: the drain timeout passed");
    }
    tracing::info!("stopped");
    Ok(if by_itself { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn reload(node: &Node) {
    let caller = Caller::local("SIGHUP");
    match node.app().reload_models(&caller).await {
        Ok(models) => tracing::info!(models = models.len(), "models reloaded"),
        Err(error) => {
            tracing::error!(error = chain(&error), "models not reloaded, old ones serve on");
        }
    }
}

/// `message` of the contract as JSON or as text.
pub(super) fn answer<M: prost::Message>(
    as_json: bool,
    name: &str,
    message: &M,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if as_json { say(&json::print(name, message)?) } else { say(&text()) }
}

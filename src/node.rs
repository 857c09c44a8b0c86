//! The composition root: configuration in, a running node out. The one file that names every
//! layer.

pub mod accounts;
pub mod audit;
pub mod backup;
mod callers;
pub mod deidentify;
pub mod doctor;
pub mod enrolment;
mod exchange;
mod fhir;
pub(crate) mod folder;
mod health;
mod identity;
pub mod imaging;
pub mod keys;
mod link;
mod models;
pub mod nodes;
mod pacs;
mod pem;
mod records;
mod reporting;
mod room;
mod secret;
pub mod security;
mod web;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::exchange::{exchange_path, open_exchange, open_worklist};
use self::pem::Pem;
use crate::app::credentials::Authenticator;
use crate::app::imaging::forwarding::Forwarding;
use crate::app::imaging::models::AnalysisStore;
use crate::app::knowledge::{Knowledge, Tables};
use crate::app::ports::{BoxFuture, Clock, IdSource, IndicationFit, Journal, KnowledgeSource};
use crate::app::{App, NodeKind, Parts, error};
use crate::config::{Config, EngineName, ModelsSection, NodeRole, PrecisionName};
use crate::inference::port::{self, Differential, describe};
use crate::inference::{
    Dropped, EngineChoice, LibrarySearch, ModelKind, Models, Observer, Options, PrecisionChoice,
    RunReport,
};
use crate::lifecycle;
use crate::medicine::diagnosis::prior;
use crate::rpc::gate::CallLimits;
use crate::rpc::server::{Door, DoorError, DoorOptions};
use crate::store::postgres;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::tables::files::{Files, LoadError};
use crate::telemetry::Metrics;
use crate::tls::{self, incoming::Places};

/// Name of the database in the store's directory.
pub const DATABASE: &str = "xiangyi.db";
/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// Address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A table or model was refused; the cause names it.
    #[error("cannot load models and knowledge")]
    Knowledge(#[source] error::Cause),
    /// The keys of what is kept cannot be used.
    #[error(transparent)]
    Keys(#[from] keys::KeysError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The door cannot open.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The clinic's own shares of visits cannot be read.
    #[error("cannot read {} (models.site_prevalence)", path.display())]
    SitePrevalence {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: error::Cause,
    },
    /// The archive of images or their index cannot be used.
    #[error("cannot open the archive of images")]
    Imaging(#[source] error::Cause),
    /// The index of studies cannot be opened; it holds nothing that the archive does not.
    #[error("cannot open the index of studies; `xiangyi archive reindex` makes it anew")]
    StudyIndex(#[source] OpenError),
    /// The database of the index of studies cannot be used.
    #[error("cannot open the index of studies")]
    PostgresIndex(#[source] postgres::OpenError),
    /// The database of the exchange cannot be used.
    #[error("cannot open the database of the exchange (section exchange)")]
    PostgresHub(#[source] postgres::OpenError),
    /// A rule of forwarding names a body region that the tables do not have.
    #[error("forwarding.rules: {id:?} is no region of models/imaging/regions.csv")]
    Region {
        /// What it names.
        id: String,
    },
    /// The link between node and hub cannot be used.
    #[error("cannot use the link (section link)")]
    Link(#[source] error::Cause),
    /// The key that people's numbers are hashed with cannot be used.
    #[error("cannot use the key of people in the store's directory")]
    Key(#[source] error::Cause),
    /// The accounts of this node cannot be used.
    #[error("cannot use the accounts of this node (section auth.accounts)")]
    Accounts(#[source] error::Cause),
    /// The identity provider cannot be asked.
    #[error("cannot use the identity provider (section auth.oidc)")]
    Provider(#[source] error::Cause),
    /// The key that heads of the audit trail are signed with cannot be used.
    #[error("cannot use the key of the audit trail in the store's directory")]
    AuditKey(#[source] error::Cause),
    /// A certificate or key of the DICOM door cannot be used.
    #[error("cannot use {}", path.display())]
    Pem {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: error::Cause,
    },
    /// A credential's role has nothing to do where its holder works.
    #[error(
        "auth: `{name}` has the role {role}, which has no rights at a {place}; it has at: {places} (models/policy/actions.csv; set place or area of the credential)"
    )]
    Role {
        /// Name of the credential.
        name: String,
        /// Its role.
        role: &'static str,
        /// Where it works.
        place: &'static str,
        /// Where the role may work.
        places: String,
    },
    /// A model directory cannot be read.
    #[error("cannot read {}", path.display())]
    ModelDir {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder of models or tables is not what somebody trusted has signed; the cause names the file.
    #[error("{} is refused", path.display())]
    Signature {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: LoadError,
    },
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    dicom_address: Option<SocketAddr>,
    web_address: Option<SocketAddr>,
    fhir_address: Option<SocketAddr>,
    link_address: Option<SocketAddr>,
    forwarding: Option<Arc<Forwarding>>,
    app: Arc<App>,
    stop: CancellationToken,
    tasks: TaskTracker,
    drain_timeout: Duration,
}

/// Time from the system.
#[derive(Debug)]
pub struct SystemClock;

/// UUID version 7.
#[derive(Debug)]
pub struct UuidSource;

/// Reads tables and models from a directory, or the embedded ones.
#[derive(Debug)]
pub struct ModelFiles {
    section: ModelsSection,
    metrics: Arc<Metrics>,
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the injected clock itself")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl IdSource for UuidSource {
    fn new_id(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "the injected source itself")]
        let id = uuid::Uuid::now_v7();
        id.to_string()
    }
}

impl ModelFiles {
    /// From the configuration.
    pub fn new(section: ModelsSection, metrics: Arc<Metrics>) -> Self {
        Self { section, metrics }
    }

    /// Reads and checks everything. Blocks.
    fn build(section: &ModelsSection, metrics: Arc<Metrics>) -> Result<Knowledge, error::Cause> {
        let mut files = folder::tables(section)?;
        if let Some(path) = &section.site_prevalence {
            let bytes = folder::one_file(path, &section.trust());
            let bytes =
                bytes.map_err(|source| NodeError::SitePrevalence { path: path.clone(), source })?;
            files.insert(prior::SITE, Cow::Owned(bytes));
        }
        let choice = engine_choice(section.engine);
        let library = LibrarySearch::new(section.onnxruntime_library.clone(), None);
        let kinds =
            if section.indication_fit { ModelKind::ALL } else { &[ModelKind::Differential] };
        let options = Options {
            kinds,
            precision: precision_choice(section.precision),
            threads: section.threads,
            queue_max: section.queue_max,
            batch_max: section.batch_max,
            observer: Arc::new(ModelWatch(metrics)),
            ..Options::new(choice, library)
        };
        let models = Arc::new(Models::load(&files, options)?);
        let engine = models.engine();
        tracing::info!(
            engine = engine.name,
            version = engine.version,
            reason = engine.reason,
            "engine"
        );
        let listed = models
            .list()
            .iter()
            .filter_map(|info| models.get(&info.id))
            .map(|model| describe(&model))
            .collect();
        let fit: Option<Arc<dyn IndicationFit>> = if section.indication_fit {
            Some(Arc::new(port::IndicationFit::new(Arc::clone(&models))?))
        } else {
            None
        };
        let differential = Arc::new(Differential::new(models)?);
        let own = section.dir.is_some() || section.site_prevalence.is_some();
        let known = if own { Arc::new(Tables::load(&files)?) } else { embedded_tables(&files)? };
        Ok(Knowledge::build(known, differential, fit, listed)?)
    }
}

/// The tables inside the program, read once: they are the same for every node of the process.
fn embedded_tables(files: &Files) -> Result<Arc<Tables>, LoadError> {
    static READ: Mutex<Option<Arc<Tables>>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tables) = read.as_ref() {
        return Ok(Arc::clone(tables));
    }
    let tables = Arc::new(Tables::load(files)?);
    *read = Some(Arc::clone(&tables));
    Ok(tables)
}

impl KnowledgeSource for ModelFiles {
    fn load(&self) -> BoxFuture<'_, Result<Arc<Knowledge>, error::Cause>> {
        let section = self.section.clone();
        let metrics = Arc::clone(&self.metrics);
        Box::pin(async move {
            let built = tokio::task::spawn_blocking(move || Self::build(&section, metrics)).await?;
            Ok(Arc::new(built?))
        })
    }
}

impl Node {
    /// Binds, loads, and serves. The address is known and printed before loading begins.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let listener = bind(config.server.listen).await?;
        let address = listener.local_addr().unwrap_or(config.server.listen);
        let metrics_listener = bind_if(config.metrics.listen).await?;
        let metrics_address = metrics_listener.as_ref().and_then(|l| l.local_addr().ok());
        tracing::info!(%address, metrics = ?metrics_address, "listening");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let metrics = Arc::new(Metrics::new());
        let source: Arc<dyn KnowledgeSource> =
            Arc::new(ModelFiles::new(config.models.clone(), Arc::clone(&metrics)));
        keys::prepare(&config)?;
        let database = keys::database(&config, DATABASE)?;
        // The store migrates while the models load.
        let (knowledge, store) = tokio::join!(
            source.load(),
            SqliteStore::open(&database, config.store.writes_max, &tasks)
        );
        let journal: Arc<dyn Journal> = Arc::new(store?);
        let ids: Arc<dyn IdSource> = Arc::new(UuidSource);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let exchange = Arc::new(open_exchange(&config).await?);
        let with = (Arc::clone(&journal), Arc::clone(&clock), Arc::clone(&exchange));
        let mut images = imaging::open(&config, with, &tasks).await?;
        if let Some(tender) = images.as_mut().and_then(|opened| opened.tender.take()) {
            tasks.spawn(imaging::tend(tender, config.clone(), stop.clone()));
        }
        let behind = pacs::open(&config, images.as_ref(), Arc::clone(&exchange), &clock).await?;
        let ((behind, followers), until) = (behind.unzip(), (&tasks, &stop));
        let with = (Arc::clone(&journal), Arc::clone(&clock), Arc::clone(&ids));
        let (forwarding, worklist, analyses) = match &images {
            Some(opened) => {
                imaging::watched(opened, &metrics, until);
                let with = (with.clone(), Arc::clone(&metrics));
                let (forwarding, worklist, store) =
                    exchange::start(&config, (&opened.imaging, exchange), with, until).await?;
                let with: (Arc<dyn AnalysisStore>, _) = (store, Arc::clone(&clock));
                let analyses = models::start(&config, opened, with, until).await?;
                (forwarding, worklist, analyses)
            }
            None => (None, None, None),
        };
        let held = (images.as_ref(), behind.clone());
        let knowledge = knowledge.map_err(NodeError::Knowledge)?;
        let placing = callers::placing(&config, &knowledge);
        let auth = Box::pin(identity::open(&config, (&journal, &clock, placing), until)).await?;
        let opening = records::open(&config, &database, &knowledge, (&clock, &ids), until);
        let records = Box::pin(opening).await?;
        records.watch((&metrics, &clock), until);
        let joined = link::join(&config, held, (with, &records), (&metrics, &stop));
        let region = Box::pin(joined).await?;
        let of = (&database, knowledge.as_ref(), region.as_ref());
        let audit = audit::start(&config, of, (&metrics, &clock), until).await?;
        let app = Arc::new(App::new(Parts {
            audit: Some(audit),
            name: config.node.name.clone(),
            knowledge,
            source,
            journal,
            clock,
            ids,
            region: region.as_ref().map(link::Joined::region),
            elsewhere: region.as_ref().and_then(link::Joined::elsewhere),
            behind: behind.clone(),
            records: records.desk,
            hub: records.hub,
            coverage: records.coverage,
            institution: config.node.institution.clone(),
            area: config.node.area.clone(),
            role: kind(config.node.role),
            images: imaging::for_people(images.as_ref(), analyses),
        }));
        let options = door_options(&config, &auth)?;
        let door = Door::new(options, Arc::clone(&app), Arc::clone(&metrics))?;
        let health = health::service(&app, until).await;
        if let Some(listener) = metrics_listener {
            serve_metrics(listener, (&config, &app, &metrics), until);
        }
        let dicom_address = imaging::open_door(&config, images.as_ref(), worklist, until).await?;
        let link_address = match region {
            Some(joined) => joined.start(&config, (&app, behind, metrics), until).await?,
            None => None,
        };
        pacs::follow(followers, until);
        let web_address = web::open_door(&config, (images.as_ref(), &auth), until).await?;
        let fhir_address = Box::pin(fhir::open_door(&config, (&app, &auth), until)).await?;
        serve_grpc(door.serve(listener, health, stop.clone()), until);
        tracing::info!(%address, "serving");
        Ok(Self {
            address,
            metrics_address,
            dicom_address,
            web_address,
            fhir_address,
            link_address,
            forwarding,
            app,
            stop,
            tasks,
            drain_timeout: Duration::from_millis(config.server.drain_timeout_ms),
        })
    }

    /// Where gRPC answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics answer, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Where DICOM peers are answered, if anywhere.
    pub fn dicom_address(&self) -> Option<SocketAddr> {
        self.dicom_address
    }

    /// Where DICOMweb answers, if anywhere.
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.web_address
    }

    /// Where FHIR answers, if anywhere.
    pub fn fhir_address(&self) -> Option<SocketAddr> {
        self.fhir_address
    }

    /// Where nodes of the region dial in, if this is a hub.
    pub fn link_address(&self) -> Option<SocketAddr> {
        self.link_address
    }

    /// What goes on to other archives, if anything does.
    pub fn forwarding(&self) -> Option<&Arc<Forwarding>> {
        self.forwarding.as_ref()
    }

    /// The application behind the doors.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Returns when the door has closed by itself.
    pub async fn failed(&self) {
        self.stop.cancelled().await;
    }

    /// Takes no new calls, lets running ones finish, and closes the store. Tells whether all of it
    /// was done in time.
    pub async fn stop(self) -> bool {
        let Self { app, stop, tasks, drain_timeout, .. } = self;
        // The store's writer ends when nobody can send to it any more.
        drop(app);
        lifecycle::drain(&stop, &tasks, drain_timeout).await
    }
}

/// Whatever ends the gRPC door ends the node.
fn serve_grpc<E: std::error::Error + Send>(
    serving: impl Future<Output = Result<(), E>> + Send + 'static,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) {
    let failed = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(error = crate::app::chain(&error), "gRPC door");
            failed.cancel();
        }
    });
}

/// Serves metrics, and measures what nobody else does.
fn serve_metrics(
    listener: TcpListener,
    (config, app, metrics): (&Config, &Arc<App>, &Arc<Metrics>),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) {
    link::until(stop, tasks, room::watch(config.clone(), Arc::clone(metrics)));
    let (app, metrics, stop) = (Arc::clone(app), Arc::clone(metrics), stop.clone());
    tasks.spawn(async move {
        if let Err(error) = crate::web::serve(listener, app, metrics, stop).await {
            tracing::error!(error = %error, "metrics door");
        }
    });
}

/// Turns what the model threads tell into metrics.
struct ModelWatch(Arc<Metrics>);

impl Observer for ModelWatch {
    fn queue_depth(&self, model: &str, waiting: usize) {
        self.0.model_queue(model, waiting);
    }

    fn ran(&self, model: &str, report: &RunReport) {
        self.0.model_ran(model, report.rows, report.took);
    }

    fn dropped(&self, model: &str, why: Dropped) {
        let why = match why {
            Dropped::Overloaded => "overloaded",
            Dropped::Cancelled => "cancelled",
            Dropped::Expired => "expired",
        };
        self.0.model_dropped(model, why);
    }
}

fn engine_choice(name: EngineName) -> EngineChoice {
    match name {
        EngineName::Auto => EngineChoice::Auto,
        EngineName::OnnxRuntime => EngineChoice::OnnxRuntime,
        EngineName::Rten => EngineChoice::Rten,
    }
}

fn precision_choice(name: PrecisionName) -> PrecisionChoice {
    match name {
        PrecisionName::Auto => PrecisionChoice::Auto,
        PrecisionName::F32 => PrecisionChoice::F32,
        PrecisionName::Int8 => PrecisionChoice::Int8,
    }
}

fn kind(role: NodeRole) -> NodeKind {
    match role {
        NodeRole::Clinic => NodeKind::Clinic,
        NodeRole::Hospital => NodeKind::Hospital,
        NodeRole::Hub => NodeKind::Hub,
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|source| NodeError::Bind { address, source })
}

async fn bind_if(address: Option<SocketAddr>) -> Result<Option<TcpListener>, NodeError> {
    match address {
        Some(address) => Ok(Some(bind(address).await?)),
        None => Ok(None),
    }
}

fn door_options(config: &Config, auth: &Authenticator) -> Result<DoorOptions, NodeError> {
    let server = &config.server;
    let files = Pem {
        cert: server.tls_cert.as_deref(),
        key: server.tls_key.as_deref(),
        client_ca: server.tls_client_ca.as_deref(),
    };
    // Browsers that speak gRPC-Web may know HTTP/1.1 only.
    let tls = pem::server_config(&files, (tls::Versions::Modern, &[tls::H2, b"http/1.1"]))?;
    Ok(DoorOptions {
        auth: auth.clone(),
        limits: CallLimits {
            concurrency_max: server.concurrency_max,
            queue_max: server.queue_max,
            call_timeout: Duration::from_millis(server.call_timeout_ms),
            message_bytes_max: server.message_bytes_max,
        },
        message_bytes_max: server.message_bytes_max,
        streams_per_connection_max: server.streams_per_connection_max,
        places: Places {
            max: server.connections_max,
            idle: Duration::from_millis(server.idle_timeout_ms.max(server.call_timeout_ms)),
        },
        cors_origins: server.cors_origins.clone(),
        reflection: server.reflection,
        tls: tls.map(Arc::new),
    })
}

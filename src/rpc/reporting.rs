//! `xiangyi.reporting.v1`: reports in the words of the contract.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::caller;
use super::proto::xiangyi::reporting::v1 as pb;
use super::proto::xiangyi::reporting::v1::reporting_service_server::ReportingServiceServer;
use crate::app::App;
use crate::app::error::Error;
use crate::app::reporting::{CoverageReport, CoverageRequest};
use crate::sharing::reporting::{
    Counter, Figure, Formula, Indicator, Level, Month, Question, Report, ReportingTables, Row,
    Standing, Stated,
};
use crate::tables::table::Status as Reviewed;

/// The service.
#[derive(Debug)]
pub(super) struct ReportingDoor(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::reporting_service_server::ReportingService for ReportingDoor {
    async fn get_coverage_report(
        &self,
        request: Request<pb::GetCoverageReportRequest>,
    ) -> Result<Response<pb::GetCoverageReportResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner().try_into()?;
        let made = self.0.coverage_report(&caller, asked).await?;
        let CoverageReport { report, tables, made_by, made_ms } = made;
        let made = Made { by: made_by, at_ms: made_ms, simulated: false };
        let report = Some(message(&tables, &report, made));
        Ok(Response::new(pb::GetCoverageReportResponse { report }))
    }

    async fn list_indicators(
        &self,
        request: Request<pb::ListIndicatorsRequest>,
    ) -> Result<Response<pb::ListIndicatorsResponse>, Status> {
        let caller = caller(&request)?;
        let tables = self.0.coverage_tables(&caller)?;
        let indicators = tables.indicators.all().iter().map(|one| indicator(&tables, one));
        Ok(Response::new(pb::ListIndicatorsResponse {
            indicators: indicators.collect(),
            tables_version: tables.version.clone(),
        }))
    }
}

/// The service, with the largest message that it takes.
pub(super) fn service(app: &Arc<App>, max: usize) -> ReportingServiceServer<ReportingDoor> {
    ReportingServiceServer::new(ReportingDoor(Arc::clone(app))).max_decoding_message_size(max)
}

/// Who made a report, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Name of the hub.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whether the figures are made up by a simulation.
    pub simulated: bool,
}

/// A report as it goes out.
pub fn message(tables: &ReportingTables, report: &Report, made: Made) -> pb::CoverageReport {
    let Question { months, level, region, as_of_ms, cut_off_day } = &report.question;
    let place = tables.places.get(*region);
    let last = months.last().copied();
    let indicators = report.indicators.iter().filter_map(|id| {
        let held = last.and_then(|month| tables.indicators.version(id, month));
        held.or_else(|| tables.indicators.all().iter().find(|one| one.id == *id))
    });
    pb::CoverageReport {
        months: months.iter().map(ToString::to_string).collect(),
        level: pb::Level::from(*level).into(),
        region: place.map(|place| place.code.clone()).unwrap_or_default(),
        region_name: place.map(|place| place.name.clone()).unwrap_or_default(),
        as_of_ms: *as_of_ms,
        made_ms: made.at_ms,
        made_by: made.by,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        tables_version: tables.version.clone(),
        cut_off_day: (*cut_off_day).into(),
        simulated: made.simulated,
        indicators: indicators.map(|one| indicator(tables, one)).collect(),
        rows: report.rows.iter().map(|one| row(tables, report, one)).collect(),
    }
}

/// A version of an indicator.
fn indicator(tables: &ReportingTables, indicator: &Indicator) -> pb::Indicator {
    let formula = match indicator.formula {
        Formula::Count => pb::Formula::Count,
        Formula::Share => pb::Formula::Share,
        Formula::Median => pb::Formula::Median,
    };
    let of = |number| tables.counters.get(number).map(counter);
    pb::Indicator {
        id: indicator.id.clone(),
        name: indicator.name_zh.clone(),
        unit: indicator.unit.clone(),
        group: indicator.group_zh.clone(),
        formula: formula.into(),
        numerator: of(indicator.numerator),
        denominator: indicator.denominator.and_then(of),
        version: indicator.version,
        from_day: indicator.from.to_string(),
        note: indicator.note_zh.clone(),
        source: indicator.source.clone(),
        reviewed: indicator.status == Reviewed::Reviewed,
    }
}

fn counter(counter: &Counter) -> pb::Counter {
    pb::Counter {
        id: counter.id.clone(),
        name: counter.name_zh.clone(),
        what: counter.what_zh.clone(),
        unit: counter.unit.clone(),
        small_below: counter.small_below,
        counted: counter.counted,
        counties_only: counter.part_of.is_some(),
    }
}

fn row(tables: &ReportingTables, report: &Report, row: &Row) -> pb::CoverageRow {
    let place = tables.places.get(row.place);
    let figures = report.indicators.iter().zip(&row.figures);
    let late = row.late.iter().map(|(level, late)| pb::LateSites {
        level: pb::Level::from(*level).into(),
        first_count: late.first,
        again_count: late.again,
    });
    pb::CoverageRow {
        month: row.month.to_string(),
        code: place.map(|place| place.code.clone()).unwrap_or_default(),
        name: place.map(|place| place.name.clone()).unwrap_or_default(),
        level: place.map_or(pb::Level::Unspecified, |place| place.level.into()).into(),
        figures: figures.map(|(id, one)| stated(tables, (id, row.month), one)).collect(),
        late: late.collect(),
    }
}

fn stated(tables: &ReportingTables, (id, month): (&str, Month), stated: &Stated) -> pb::Stated {
    pb::Stated {
        now: Some(stated.now.into()),
        was: stated.was.map(Into::into),
        version: tables.indicators.version(id, month).map_or(0, |held| held.version),
    }
}

impl TryFrom<pb::GetCoverageReportRequest> for CoverageRequest {
    type Error = Error;

    fn try_from(asked: pb::GetCoverageReportRequest) -> Result<Self, Error> {
        let level = match pb::Level::try_from(asked.level) {
            Ok(pb::Level::Unspecified | pb::Level::County) => Level::County,
            Ok(pb::Level::Region) => Level::Region,
            Ok(pb::Level::Township) => Level::Township,
            Ok(pb::Level::Village) => Level::Village,
            Err(_) => return Err(Error::field("level", "must be a level of the contract")),
        };
        Ok(Self {
            months: asked.months,
            level,
            region: asked.region,
            as_of_ms: (asked.as_of_ms != 0).then_some(asked.as_of_ms),
        })
    }
}

impl From<Figure> for pb::Figure {
    fn from(figure: Figure) -> Self {
        let standing = match figure.standing {
            Standing::Known => pb::Standing::Known,
            Standing::Hidden => pb::Standing::Hidden,
            Standing::Unknown => pb::Standing::Unknown,
            Standing::NotCounted => pb::Standing::NotCounted,
        };
        Self {
            standing: standing.into(),
            value: figure.value,
            above: figure.is_above,
            numerator: figure.numerator,
            denominator: figure.denominator,
        }
    }
}

impl From<Level> for pb::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Region => Self::Region,
            Level::County => Self::County,
            Level::Township => Self::Township,
            Level::Village => Self::Village,
        }
    }
}

//! Reasons: their codes, how each counts, and their words from `reasons.csv`.

/// How a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It speaks against.
    Failed,
    /// What it asks for is not known, and that decides.
    Unknown,
    /// To be minded; it does not decide.
    Remark,
    /// Fulfilled.
    Met,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which rule, and how it came out.
    pub code: ReasonCode,
    /// How it counts here.
    pub outcome: Outcome,
    /// What it compared, by the name of the placeholder in the words.
    pub values: Vec<(&'static str, String)>,
    /// The clause or the source of the rule.
    pub clause: String,
    /// For the doctor.
    pub doctor_zh: String,
    /// For the patient.
    pub patient_zh: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $outcome:ident,)*) => {
        /// Which rule, and how it came out. The text is the key in `reasons.csv`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode { $($(#[$doc])* $name,)* }

        impl ReasonCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The key in `reasons.csv`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How it counts where a row does not make it a mere remark.
            pub fn outcome(self) -> Outcome {
                match self { $(Self::$name => Outcome::$outcome,)* }
            }
        }
    };
}

codes! {
    /// What is planned could not be told.
    PlannedUnknown = "planned_unknown" Unknown,
    /// What the study examined is not known.
    ExaminationUnknown = "examination_unknown" Unknown,
    /// What it examined is not sure enough.
    ExaminationUnsure = "examination_unsure" Unknown,
    /// The same examination.
    ExaminationSame = "examination_same" Met,
    /// One that covers what is planned.
    ExaminationCovers = "examination_covers" Met,
    /// One that covers it with a reservation.
    ExaminationCoversPartly = "examination_covers_partly" Remark,
    /// One of the two does not say enough (contrast unsaid).
    ExaminationUnclear = "examination_unclear" Unknown,
    /// Another examination.
    ExaminationOther = "examination_other" Failed,
    /// The day is not known.
    DateUnknown = "date_unknown" Unknown,
    /// The day lies after the one asked for.
    DateInFuture = "date_in_future" Failed,
    /// Still valid.
    WindowWithin = "window_within" Met,
    /// No longer valid.
    WindowExpired = "window_expired" Failed,
    /// No rule says how long it is valid.
    WindowUnknown = "window_unknown" Unknown,
    /// Made where it is planned.
    LevelOwn = "level_own" Met,
    /// Marked for the whole country.
    LevelNational = "level_national" Met,
    /// Marked for the province of both.
    LevelProvince = "level_province" Met,
    /// Marked for the city of both.
    LevelCity = "level_city" Met,
    /// Marked for the county of both.
    LevelCounty = "level_county" Met,
    /// Marked for a place in which not both lie.
    LevelElsewhere = "level_elsewhere" Failed,
    /// The mark was not in force when the study was made.
    LevelNotInForce = "level_not_in_force" Failed,
    /// The examination is not on the list of the mark's level.
    LevelNotListed = "level_not_listed" Failed,
    /// No mark.
    LevelNone = "level_none" Failed,
    /// Whether there is a mark is not known.
    LevelUnknown = "level_unknown" Unknown,
    /// Where one of the two lies is not known.
    RegionUnknown = "region_unknown" Unknown,
    /// Signed report.
    ReportSigned = "report_signed" Met,
    /// Report not signed.
    ReportUnsigned = "report_unsigned" Failed,
    /// No report.
    ReportAbsent = "report_absent" Failed,
    /// State of the report not known.
    ReportUnknown = "report_unknown" Unknown,
    /// Enough images.
    ImagesEnough = "images_enough" Met,
    /// Too few images.
    ImagesFew = "images_few" Failed,
    /// Number of images not known.
    ImagesUnknown = "images_unknown" Unknown,
    /// No instance number is missing.
    NumbersComplete = "numbers_complete" Met,
    /// Instance numbers are missing.
    NumbersMissing = "numbers_missing" Failed,
    /// Whether any is missing is not known.
    NumbersUnknown = "numbers_unknown" Unknown,
    /// Slices follow without a gap.
    SlicesComplete = "slices_complete" Met,
    /// Slices are missing.
    SlicesMissing = "slices_missing" Failed,
    /// Whether slices are missing is not known.
    SlicesUnknown = "slices_unknown" Unknown,
    /// Thin enough.
    ThicknessFits = "thickness_fits" Met,
    /// Too thick.
    ThicknessThick = "thickness_thick" Failed,
    /// Thickness not known.
    ThicknessUnknown = "thickness_unknown" Unknown,
    /// Long enough.
    CoverageFits = "coverage_fits" Met,
    /// Too short.
    CoverageShort = "coverage_short" Failed,
    /// Coverage not known.
    CoverageUnknown = "coverage_unknown" Unknown,
    /// Nothing burned into the pixels.
    PixelsClean = "pixels_clean" Met,
    /// Text is burned into the pixels.
    PixelsBurned = "pixels_burned" Failed,
    /// Whether text is burned in is not known.
    PixelsUnknown = "pixels_unknown" Unknown,
    /// The side is marked.
    SideMarked = "side_marked" Met,
    /// The side is not marked.
    SideUnmarked = "side_unmarked" Failed,
    /// Whether the side is marked is not known.
    SideMarkUnknown = "side_mark_unknown" Unknown,
    /// The side that is planned.
    SideSame = "side_same" Met,
    /// The other side.
    SideOther = "side_other" Failed,
    /// Side of the study not known.
    SideUnknown = "side_unknown" Unknown,
}

/// Words for one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) doctor_zh: String,
    pub(super) patient_zh: String,
    pub(super) clause: String,
}

/// Names that may stand in braces in the words.
pub(super) const PLACEHOLDERS: [&str; 8] =
    ["age_days", "limit_days", "found", "limit", "existing", "planned", "scope", "note"];

/// Words with the values put in the place of their names.
pub(super) fn fill(words: &str, values: &[(&'static str, String)]) -> String {
    let mut out = words.to_owned();
    for (name, value) in values {
        out = out.replace(&format!("{{{name}}}"), value);
    }
    out
}

/// A name in braces that is none of [`PLACEHOLDERS`], or braces that do not close.
pub(super) fn bad_placeholder(words: &str) -> Option<&str> {
    let mut rest = words;
    while let Some((_, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((name, next)) if PLACEHOLDERS.contains(&name) => rest = next,
            Some((name, _)) => return Some(name),
            None => return Some(after),
        }
    }
    None
}

//! What is kept of an object so that it can be found: text decoded, trailing padding gone, at four
//! levels. Whatever is absent or empty in the object is the empty string.

mod read;

use serde::{Deserialize, Serialize};

pub use self::read::{WANTED, WANTED_IN_ITEMS};

/// The header of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Patient.
    pub patient: Patient,
    /// Study.
    pub study: Study,
    /// Series.
    pub series: Series,
    /// Instance.
    pub instance: Instance,
    /// Whether the declared character set did not fit the bytes and another was found to fit
    /// (GBK or GB18030 sent as `ISO_IR 100`, or undeclared).
    pub character_set_guessed: bool,
}

/// Attributes of the patient.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patient {
    /// Patient ID (0010,0020).
    pub id: String,
    /// Issuer of patient ID (0010,0021).
    pub issuer: String,
    /// Patient's name (0010,0010), component groups separated by `=`.
    pub name: String,
    /// Birth date (0010,0030), `YYYYMMDD`.
    pub birth_date: String,
    /// Sex (0010,0040): `M`, `F`, `O`.
    pub sex: String,
}

/// Attributes of the study.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Study {
    /// Study instance UID (0020,000D).
    pub uid: String,
    /// Study date (0008,0020), `YYYYMMDD`.
    pub date: String,
    /// Study time (0008,0030), `HHMMSS.FFFFFF`.
    pub time: String,
    /// Accession number (0008,0050).
    pub accession_number: String,
    /// Study ID (0020,0010).
    pub id: String,
    /// Study description (0008,1030).
    pub description: String,
    /// Referring physician's name (0008,0090).
    pub referring_physician: String,
    /// Patient's age (0010,1010), `045Y`.
    pub patient_age: String,
    /// Meaning of the first item of the procedure code sequence (0008,1032).
    pub procedure: String,
}

/// Attributes of the series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    /// Series instance UID (0020,000E).
    pub uid: String,
    /// Modality (0008,0060).
    pub modality: String,
    /// Series number (0020,0011).
    pub number: String,
    /// Series description (0008,103E).
    pub description: String,
    /// Series date (0008,0021).
    pub date: String,
    /// Series time (0008,0031).
    pub time: String,
    /// Body part examined (0018,0015).
    pub body_part: String,
    /// Laterality (0020,0060).
    pub laterality: String,
    /// View position (0018,5101).
    pub view_position: String,
    /// Protocol name (0018,1030).
    pub protocol: String,
    /// Contrast or bolus agent (0018,0010).
    pub contrast_agent: String,
    /// Anatomic region: meaning of the first item of (0008,2218).
    pub anatomic_region: String,
    /// Code of that item, `scheme:value`, for example `SCT:69536005`.
    pub anatomic_region_code: String,
    /// Institution name (0008,0080).
    pub institution: String,
    /// Department (0008,1040).
    pub department: String,
    /// Station name (0008,1010).
    pub station: String,
    /// Manufacturer (0008,0070).
    pub manufacturer: String,
    /// Manufacturer's model (0008,1090).
    pub model: String,
    /// Performed procedure step start date (0040,0244).
    pub performed_date: String,
    /// Performed procedure step start time (0040,0245).
    pub performed_time: String,
    /// Requested procedure ID, from the first item of (0040,0275).
    pub requested_procedure_id: String,
    /// Scheduled procedure step ID, from the first item of (0040,0275).
    pub scheduled_step_id: String,
}

/// Attributes of the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// SOP class UID (0008,0016).
    pub sop_class: String,
    /// SOP instance UID (0008,0018).
    pub uid: String,
    /// Instance number (0020,0013).
    pub number: String,
    /// Content date (0008,0023).
    pub content_date: String,
    /// Content time (0008,0033).
    pub content_time: String,
    /// Image type (0008,0008), values separated by `\`.
    pub image_type: String,
    /// Rows (0028,0010); 0 without pixels.
    pub rows: u32,
    /// Columns (0028,0011); 0 without pixels.
    pub columns: u32,
    /// Number of frames (0028,0008); 1 for one image, 0 without pixels.
    pub frames: u32,
    /// Bits allocated (0028,0100); 0 without pixels.
    pub bits_allocated: u32,
    /// Slice thickness (0018,0050), millimetres as written.
    pub slice_thickness: String,
    /// Image position (0020,0032), millimetres, values separated by `\`.
    pub image_position: String,
    /// Burned in annotation (0028,0301): `YES`, `NO`.
    pub burned_in_annotation: String,
    /// Completion and verification of a report (0040,A491, 0040,A493), for example
    /// `COMPLETE\VERIFIED`.
    pub report_state: String,
    /// Meaning of a report's title (0040,A043).
    pub report_title: String,
}

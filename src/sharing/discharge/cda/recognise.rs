//! Which kind of document it is, from its template and its code.

use super::super::problems::Format;
use super::elements::{CCDA_CODES, CCDA_ROOTS, TEMPLATES, Template};
use super::systems;
use super::xml::{HL7, Reading, attribute, child, children};

/// A kind that is read.
pub(super) struct Known {
    pub(super) format: Format,
    /// Its row, for Chinese documents.
    pub(super) template: Option<&'static Template>,
}

/// The kind of the document, or none, with the reason among the problems.
///
/// The code decides: systems are known to copy one document's `templateId` into another.
pub(super) fn recognise(reading: &Reading<'_>) -> Option<Known> {
    let root = reading.root();
    if root.tag_name().name() != "ClinicalDocument" {
        reading.fatal(root, "not_cda", "根元素不是ClinicalDocument；这不是CDA文档");
        return None;
    }
    if root.tag_name().namespace() != Some(HL7) {
        let message = "ClinicalDocument的命名空间不对；应为urn:hl7-org:v3";
        reading.fatal(root, "xml_namespace", message);
        return None;
    }
    let roots: Vec<_> = children(root, "templateId").map(|id| attribute(id, "root")).collect();
    let node = child(root, "code");
    let code = node.map_or("", |node| attribute(node, "code"));
    let by_code = TEMPLATES.iter().find(|template| template.code == code);
    let by_root = TEMPLATES.iter().find(|template| roots.contains(&template.root));
    if let Some(template) = by_code {
        let system = node.map_or("", |node| attribute(node, "codeSystem"));
        if let Some(node) = node.filter(|_| system != systems::DOCUMENTS) {
            let message = format!("文档类别的代码体系应为{}", systems::DOCUMENTS);
            reading.warn(node, "code_system_wrong", message);
        }
        if !roots.contains(&template.root) {
            let message = format!("{}的templateId应为{}", template.title, template.root);
            reading.warn(root, "template_code_disagree", message);
        }
        return Some(Known { format: template.format, template: Some(template) });
    }
    if let (Some(template), "") = (by_root, code) {
        let message = format!("缺少文档类别代码；{}应为{}", template.title, template.code);
        reading.warn(root, "header_missing", message);
        return Some(Known { format: template.format, template: Some(template) });
    }
    let loinc = node.is_some_and(|node| attribute(node, "codeSystem") == systems::LOINC);
    let ccda = roots.iter().any(|root| CCDA_ROOTS.contains(root));
    if by_root.is_none() && (ccda || (loinc && CCDA_CODES.contains(&code))) {
        if !ccda {
            let message = "没有C-CDA出院小结或连续照护文档的templateId，按文档类别代码读取";
            reading.warn(root, "template_code_disagree", message);
        }
        return Some(Known { format: Format::Ccda, template: None });
    }
    let names: Vec<_> =
        TEMPLATES.iter().map(|template| format!("{}{}", template.code, template.title)).collect();
    let message = format!(
        "不是可接收的文档类别；可接收{}，以及C-CDA出院小结（LOINC 18842-5、34133-9）",
        names.join("、")
    );
    reading.fatal(node.unwrap_or(root), "template_wrong", message);
    None
}

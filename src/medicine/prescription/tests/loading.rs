//! What the tables may not hold, and where the error points.

use super::super::{PrescriptionKnowledge, Subject};
use super::{files, files_with, knowledge};
use crate::tables::files::Files;

fn error(files: &Files) -> String {
    PrescriptionKnowledge::load(files).unwrap_err().to_string()
}

#[test]
fn the_small_tables_load_and_have_a_version() {
    let version = knowledge().version().to_owned();
    assert_eq!(version.len(), 12);
    let other = files_with("limits", "L1,items_per_rx,5", "L1,items_per_rx,4");
    assert_ne!(PrescriptionKnowledge::load(&other).unwrap().version(), version);
}

#[test]
fn every_table_refuses_a_row_without_a_known_source() {
    for (table, from, to) in [
        ("ingredients", "chemical,book#1,draft", "chemical,,draft"),
        ("medicines", "oral,,book#1,draft", "oral,,hearsay#1,draft"),
        ("extra_products", ",oral,,memory,draft", ",oral,,,draft"),
        ("classes", "beta_lactams,book,draft", "beta_lactams,,draft"),
        ("class_members", "amoxicillin,book,draft", "amoxicillin,x,draft"),
        ("interactions", "book#i1", "bok#i1"),
        ("allergy_cross", "book#a1", ""),
        ("allergen_names", "海鲜,,memory", "海鲜,,"),
        ("pregnancy", "book#p1", "?"),
        ("pregnancy_ok", "book#o1", ""),
        ("limits", "law#6", "law2#6"),
        ("review_items", "law#1-11", ""),
    ] {
        let message = error(&files_with(table, from, to));
        assert!(message.starts_with(&format!("prescription/{table}.csv:")), "{table}: {message}");
        assert!(message.contains("source"), "{table}: {message}");
    }
}

#[test]
fn a_dangling_name_is_refused_at_its_line() {
    for (table, from, to, expected) in [
        (
            "medicines",
            "western,解热镇痛药,,ibuprofen",
            "western,解热镇痛药,,ibuprofin",
            ":3: unknown ingredient `ibuprofin`",
        ),
        ("medicines", "oral|topical", "oral|skin", ":4: unknown route `skin`"),
        ("medicines", "book,draft\nT003", "book,draft\nT002", ":42: id `T002` stands twice"),
        (
            "classes",
            "penicillins,beta_lactams",
            "penicillins,nothing",
            ":3: unknown class `nothing`",
        ),
        (
            "class_members",
            "penicillins,amoxicillin",
            "penicillin,amoxicillin",
            ":2: unknown class `penicillin`",
        ),
        (
            "class_members",
            "side_chain,cefalexin",
            "side_chain,cephalexin",
            ":5: unknown ingredient `cephalexin`",
        ),
        (
            "interactions",
            "warfarin,class:nsaids",
            "warfarin,class:nsaid",
            ":2: unknown subject `class:nsaid`",
        ),
        (
            "interactions",
            "nitroglycerin,sildenafil",
            "nitroglycerin,W001",
            ":4: `W001` must be an ingredient or a class",
        ),
        (
            "interactions",
            "lithium,hydrochlorothiazide",
            "lithium,lithium",
            ":7: rule holds for no two",
        ),
        (
            "interactions",
            "same_route_iv",
            "same_vein",
            ":5: column `?`: unknown variant `same_vein`",
        ),
        ("interactions", "I02,", "I01,", ":3: id `I01` stands twice"),
        ("allergy_cross", "STOP,book#a1", "HALT,book#a1", ":2: column `?`: unknown variant `HALT`"),
        ("allergen_names", "磺胺,class", "青霉素,class", ":3: allergen name `青霉素` stands twice"),
        ("pregnancy", "P03,class:nsaids,20,29", "P03,class:nsaids,29,20", ":4: weeks must rise"),
        ("pregnancy", "T003,,,", "T999,,,", ":6: unknown subject `T999`"),
        ("pregnancy_ok", "clavulanic_acid", "paracetamol", ":5: `paracetamol` stands twice"),
        ("limits", "5,item", "many,item", ":2: `many` must be a number above 0"),
        ("limits", "1-11", "9-9", ":2: unknown review item `9-9`"),
        (
            "limits",
            "L3,quantity_emergency",
            "L3,quantity_outpatient",
            ":4: topic `quantity_outpatient` stands twice",
        ),
        ("review_items", "2-8,", "2-98,", ": review item `2-8` is missing"),
    ] {
        let message = error(&files_with(table, from, to));
        assert!(message.contains(expected), "{table}: {message}");
    }
}

#[test]
fn a_name_may_belong_to_one_medicine_only() {
    let message = error(&files_with("medicines", "羟氨苄青霉素", "扑热息痛"));
    assert!(message.contains(":6: name `扑热息痛` already belongs to W001"), "{message}");
    let message = error(&files_with("extra_products", "枸橼酸西地那非", "硝酸 甘油"));
    assert!(message.contains("extra_products.csv:4:"), "{message}");
    assert!(message.contains("already belongs to W014"), "{message}");
    // The same word twice in one row does no harm.
    assert!(PrescriptionKnowledge::load(&files_with("medicines", "GS,", "GS|gs,")).is_ok());
}

#[test]
fn classes_may_not_lie_inside_themselves_or_be_empty() {
    let circle =
        files_with("classes", "β-内酰胺类,beta-lactams,", "β-内酰胺类,beta-lactams,side_chain");
    assert!(error(&circle).contains("classes.csv:2: class lies inside itself"));
    let circle = files_with(
        "class_members",
        "side_chain,cefalexin,book,draft",
        "side_chain,cefalexin,book,draft\nside_chain,class:beta_lactams,book,draft",
    );
    assert!(error(&circle).contains("class lies inside itself"));
    let empty = files_with("class_members", "quinolones,levofloxacin,book,draft\n", "");
    assert!(error(&empty).contains("classes.csv:7: class `quinolones` has no member"));
}

#[test]
fn members_of_inner_classes_count_in_the_outer_ones() {
    let knowledge = knowledge();
    let formulary = knowledge.formulary();
    let class = |slug: &str| match formulary.subject(&format!("class:{slug}")) {
        Some(Subject::Class(id)) => id,
        _ => panic!("{slug}"),
    };
    let Some(Subject::Ingredient(cefalexin)) = formulary.subject("cefalexin") else { panic!() };
    assert!(formulary.is_member(cefalexin, class("beta_lactams")));
    assert!(formulary.is_member(cefalexin, class("side_chain")));
    assert!(!formulary.is_member(cefalexin, class("penicillins")));
    assert!(formulary.is_within(class("side_chain"), class("beta_lactams")));
    assert!(!formulary.is_within(class("beta_lactams"), class("side_chain")));
    assert_eq!(formulary.members(Subject::Class(class("beta_lactams"))).len(), 4);
}

#[test]
fn a_missing_table_or_column_is_named() {
    let mut files = files();
    files.insert("prescription/limits.csv", "id,topic\nL1,x\n".as_bytes());
    assert!(error(&files).contains("limits.csv:2"));
    let mut some = Files::new();
    some.insert("prescription/sources.csv", "id,citation,url,licence,note\n".as_bytes());
    assert_eq!(error(&some), "prescription/ingredients.csv: file is missing");
}

#[test]
fn a_western_medicine_needs_compiled_ingredients() {
    let message = error(&files_with("medicines", "药,,paracetamol,", "药,,herbs_unlisted,"));
    assert!(message.contains(":2: a western medicine cannot hold"), "{message}");
    let message = error(&files_with("medicines", "药,,paracetamol,", "药,,,"));
    assert!(message.contains(":2: a medicine needs an ingredient"), "{message}");
}

//! Measured values in the text.

use super::*;

const NOW: MeasuredAt = MeasuredAt::Now;

#[test]
fn a_measured_value_is_read_with_its_label() {
    for (text, name, value) in [
        ("T38.9℃", "temperature_c", 38.9),
        ("T：３８．９℃", "temperature_c", 38.9),
        ("体温39度2", "temperature_c", 39.2),
        ("体温三十九度二", "temperature_c", 39.2),
        ("体温39度半", "temperature_c", 39.5),
        ("体温约38.5", "temperature_c", 38.5),
        ("体温38-39℃", "temperature_c", 39.0),
        ("38.9度", "temperature_c", 38.9),
        ("P 102次/分", "heart_rate_bpm", 102.0),
        ("HR110", "heart_rate_bpm", 110.0),
        ("心率约98次/分", "heart_rate_bpm", 98.0),
        ("脉搏 110", "heart_rate_bpm", 110.0),
        ("R 24次/分", "respiratory_rate_bpm", 24.0),
        ("呼吸28次", "respiratory_rate_bpm", 28.0),
        ("SpO2 92%", "spo2_percent", 92.0),
        ("血氧饱和度88%", "spo2_percent", 88.0),
        ("指脉氧88-90%", "spo2_percent", 88.0),
        ("随机血糖17.2", "glucose_mmol_l", 17.2),
        ("血糖:3.1mmol/L", "glucose_mmol_l", 3.1),
        ("血压180", "systolic_mmhg", 180.0),
        ("低压110", "diastolic_mmhg", 110.0),
    ] {
        assert_eq!(values(text), [(name, value, NOW)], "{text}");
    }
}

#[test]
fn a_blood_pressure_gives_two_values() {
    for text in [
        "血压180/110",
        "BP 180/110mmHg",
        "BP:180/110",
        "180/110mmHg",
        "测血压180-110",
        "血压一百八/一百一",
    ] {
        let expected = [("systolic_mmhg", 180.0, NOW), ("diastolic_mmhg", 110.0, NOW)];
        assert_eq!(values(text), expected, "{text}");
    }
}

#[test]
fn values_may_follow_one_another_without_a_gap() {
    let all = values("T38.9℃P102次/分R24次/分BP130/80mmHg");
    let expected = [38.9, 102.0, 24.0, 130.0, 80.0];
    assert_eq!(all.iter().map(|(_, value, _)| *value).collect::<Vec<_>>(), expected);
}

#[test]
fn milligrams_of_glucose_are_converted() {
    let found = values("血糖126mg/dl");
    assert_eq!(found.len(), 1);
    assert!((found[0].1 - 6.99).abs() < 0.01, "{found:?}");
}

#[test]
fn the_highest_value_is_not_the_present_one() {
    let fixture = fixture();
    let reading = fixture.reader.read("体温最高达39.5℃，现体温37.2℃");
    assert_eq!(reading.vitals().temperature_c, Some(37.2));
    assert_eq!(reading.vitals_at(MeasuredAt::Peak).temperature_c, Some(39.5));
    let reading = fixture.reader.read("最高体温39.2℃");
    assert_eq!(reading.vitals().temperature_c, None);
    assert_eq!(fixture.says("发烧39.5，咳嗽"), "+fever +cough");
    assert_eq!(values("发烧39.5，咳嗽"), [("temperature_c", 39.5, MeasuredAt::Peak)]);
    assert_eq!(values("烧到39度半"), [("temperature_c", 39.5, MeasuredAt::Peak)]);
}

#[test]
fn a_synonym_that_is_a_number_is_read_as_the_number() {
    let fixture = fixture();
    for text in ["体温39", "40度", "血压180", "血氧90"] {
        assert_eq!(fixture.says(text), "", "{text}");
        assert_eq!(values(text).len(), 1, "{text}");
    }
}

#[test]
fn values_of_the_past_and_of_others_are_kept_apart() {
    let reading = fixture().reader.read("去年血压180/110，母亲血压170/100。BP120/80");
    assert_eq!(reading.vitals().systolic_mmhg, Some(120.0));
    assert_eq!(reading.vitals_at(MeasuredAt::Past).systolic_mmhg, Some(180.0));
    assert_eq!(reading.measurements.len(), 6);
}

#[test]
fn values_that_cannot_be_are_reported_and_not_used() {
    let reading = fixture().reader.read("体温389，SpO2 192%，BP 80/180，P 102");
    assert_eq!(reading.measurements.len(), 1, "only the pulse is possible");
    let bad: Vec<(Measure, f32)> =
        reading.implausible.iter().map(|bad| (bad.measure, bad.value)).collect();
    assert_eq!(
        bad,
        [
            (Measure::TemperatureC, 389.0),
            (Measure::Spo2Percent, 192.0),
            (Measure::SystolicMmhg, 80.0),
            (Measure::DiastolicMmhg, 180.0),
        ]
    );
}

#[test]
fn numbers_of_other_things_are_not_measured_values() {
    for text in [
        "尿白细胞 15",
        "白细胞 3+",
        "H1N1",
        "T波倒置",
        "P2亢进",
        "室温40℃",
        "水温38度",
        "体温3天",
        "呼吸困难3天",
        "血糖高3年",
        "2度烧伤",
        "3/5",
        "体重60kg",
        "T恤",
        "P高102",
        "2024-05-06",
        "血压",
    ] {
        assert_eq!(values(text), [], "{text}");
    }
}

#[test]
fn the_span_of_a_value_covers_its_label_and_unit() {
    let text = "查体：Ｔ：３８．９℃，余无殊";
    let reading = fixture().reader.read(text);
    assert_eq!(&text[reading.measurements[0].span.clone()], "Ｔ：３８．９℃");
}

#[test]
fn laboratory_values_are_read_in_the_units_clinics_write() {
    let near = |text: &str, measure: &str, value: f32| {
        let found = values(text);
        let hit = found.iter().any(|(name, v, _)| *name == measure && (v - value).abs() < 0.01);
        assert!(hit && found.len() == 1, "{text}: {found:?}");
    };
    near("CRP 12", "crp_mg_l", 12.0);
    near("WBC12.3", "white_cells_10e9_l", 12.3);
    near("白细胞15.6×10^9/L", "white_cells_10e9_l", 15.6);
    near("白细胞 15600", "white_cells_10e9_l", 15.6);
    near("白细胞1.5万", "white_cells_10e9_l", 15.0);
    near("N 85%", "neutrophils_percent", 85.0);
    near("中性粒细胞0.85", "neutrophils_percent", 85.0);
    near("血色素6克", "hemoglobin_g_l", 60.0);
    near("Hb 85g/L", "hemoglobin_g_l", 85.0);
    near("血小板 32×10^9/L", "platelets_10e9_l", 32.0);
    near("血肌酐 256μmol/L", "creatinine_umol_l", 256.0);
    near("肌酐1.5mg/dl", "creatinine_umol_l", 132.6);
}

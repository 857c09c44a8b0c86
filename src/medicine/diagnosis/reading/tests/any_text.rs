//! Whatever the text: no panic, sound spans, the same answer, time linear in the length.

use proptest::prelude::*;

use super::*;

/// Pieces that the reader does something with, to be mixed at random.
const PIECES: [&str; 48] = [
    "发热",
    "咳嗽",
    "无",
    "没有",
    "否认",
    "不",
    "、",
    "，",
    "。",
    "？",
    " ",
    "\n",
    "(-)",
    "（＋）",
    "3天",
    "三天前",
    "半",
    "1年",
    "T38.9℃",
    "血压180/110",
    "BP",
    "P",
    "头",
    "有点",
    "痛",
    "母亲",
    "的",
    "同学",
    "既往",
    "史",
    "可能",
    "吗",
    "加重",
    "剧烈",
    "但",
    "伴",
    "😀",
    "\u{0}",
    "\u{200b}",
    "發熱",
    "ＡＢ",
    "12345678901",
    "：",
    "一",
    "㎎",
    "已愈",
    "查体",
    "昨晚",
];

fn spans_are_sound(text: &str, reading: &Reading) -> Result<(), TestCaseError> {
    let mentions = reading.mentions.iter().map(|mention| &mention.span);
    let measured = reading.measurements.iter().map(|measured| &measured.span);
    let unread = reading.unread.iter().map(|unread| &unread.span);
    let bad = reading.implausible.iter().map(|bad| &bad.span);
    for spans in [
        mentions.collect::<Vec<_>>(),
        measured.collect::<Vec<_>>(),
        unread.collect::<Vec<_>>(),
        bad.collect::<Vec<_>>(),
    ] {
        for span in &spans {
            prop_assert!(text.get((*span).clone()).is_some(), "{span:?} of {text:?}");
            prop_assert!(!span.is_empty());
        }
        for (before, after) in spans.iter().zip(spans.iter().skip(1)) {
            prop_assert!(before.start <= after.start, "{before:?} {after:?}");
        }
    }
    for mention in &reading.mentions {
        prop_assert_eq!(&mention.words, &text[mention.span.clone()]);
        if let Some(duration) = &mention.duration {
            prop_assert_eq!(&duration.words, &text[duration.span.clone()]);
            prop_assert!(duration.least_days <= duration.most_days, "{duration:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_string_reads_without_panic_and_with_sound_spans(
        texts in prop::collection::vec(any::<String>(), 8)
    ) {
        let fixture = fixture();
        for text in texts {
            let reading = fixture.reader.read(&text);
            spans_are_sound(&text, &reading)?;
            prop_assert_eq!(reading, fixture.reader.read(&text));
        }
    }

    #[test]
    fn any_mixture_of_clinical_words_reads_with_sound_spans(
        texts in prop::collection::vec(prop::collection::vec(0..PIECES.len(), 0..24), 24)
    ) {
        let fixture = fixture();
        for pieces in texts {
            let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
            let reading = fixture.reader.read(&text);
            spans_are_sound(&text, &reading)?;
            prop_assert_eq!(reading, fixture.reader.read(&text));
        }
    }
}

#[test]
fn full_width_and_traditional_text_says_the_same() {
    let fixture = fixture();
    for (plain, other) in [
        ("无发热、咳嗽及胸痛", "無發熱、咳嗽及胸痛"),
        ("头痛3天,恶心", "頭痛３天，惡心"),
        ("否认高血压,糖尿病", "否認高血壓，糖尿病"),
        ("肚子不疼,有点头晕", "肚子不疼，有點頭暈"),
        ("胸闷(-),呼吸困难1周余", "胸悶（－），呼吸困難１週餘"),
        ("母亲有哮喘", "母親有哮喘"),
        ("剧烈腹痛,呕吐,无腹泻", "劇烈腹痛，嘔吐，無腹瀉"),
    ] {
        assert_eq!(fixture.says(plain), fixture.says(other), "{other}");
        assert!(!fixture.says(plain).is_empty());
    }
    let (plain, other) = (
        "T38.9°C,SpO2 92%,BP150/95mmHg",
        "Ｔ３８．９℃，ＳｐＯ２　９２％，ＢＰ１５０／９５ｍｍＨｇ",
    );
    assert_eq!(values(plain).len(), 4);
    assert_eq!(values(plain), values(other));
}

/// Texts that would make a careless reader go back over what it has read.
fn hostile(times: usize) -> Vec<String> {
    let repeat = |piece: &str| piece.repeat(times);
    vec![
        repeat("无"),
        repeat("不"),
        repeat("没有"),
        repeat("("),
        repeat("((--)"),
        repeat("、"),
        repeat("1"),
        repeat("1-"),
        repeat("一"),
        repeat("半天"),
        repeat("体温"),
        repeat("ct"),
        repeat("头有点"),
        repeat("发热的母亲"),
        repeat("发热、") + &repeat("(-)"),
        repeat("发热、") + &repeat("均无，"),
        repeat("发热，") + &repeat("3天，"),
        repeat("发热、") + "，" + &repeat("已愈"),
        repeat("发热、") + &repeat("？"),
        repeat("否认发热，"),
        repeat("3天前发热，"),
        repeat("没有呼吸困"),
    ]
}

#[test]
fn the_work_grows_with_the_length_of_the_text_and_no_faster() {
    let fixture = fixture();
    for (short, long) in hostile(500).iter().zip(&hostile(4000)) {
        let steps = |text: &str| fixture.reader.read_counting(text).1;
        let (few, many) = (steps(short), steps(long));
        assert!(many <= few * 9, "{:?}…: {few} steps, then {many}", &short[..12.min(short.len())]);
    }
}

#[test]
fn a_megabyte_of_one_word_is_read_in_few_steps_and_small_results() {
    let fixture = fixture();
    for piece in ["无", "((-)", "，", "发热、", "\u{0}", "热", "3天"] {
        let text = piece.repeat(1_000_000 / piece.len());
        let (reading, steps) = fixture.reader.read_counting(&text);
        assert!(steps <= text.len(), "{piece:?}: {steps} steps for {} bytes", text.len());
        let results = reading.mentions.len() + reading.unread.len() + reading.measurements.len();
        assert!(results <= text.len() / piece.len(), "{piece:?}: {results} results");
    }
}

//! The complaint reader on any text: no panic, spans on character boundaries, the same twice.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use xiangyi::embedded;
use xiangyi::medicine::diagnosis::DiagnosisKnowledge;

fn knowledge() -> &'static DiagnosisKnowledge {
    static KNOWLEDGE: OnceLock<DiagnosisKnowledge> = OnceLock::new();
    KNOWLEDGE.get_or_init(|| DiagnosisKnowledge::load(&embedded::files()).unwrap())
}

fuzz_target!(|text: &str| {
    let reader = &knowledge().reader;
    let reading = reader.read(text);
    for mention in &reading.mentions {
        assert_eq!(text.get(mention.span.clone()), Some(mention.words.as_str()));
    }
    for unread in &reading.unread {
        assert_eq!(text.get(unread.span.clone()), Some(unread.words.as_str()));
    }
    assert_eq!(reading, reader.read(text));
});

//! Tests of reading, by what a wording does. Each case is a text and what it says in a short
//! form: `+` present, `-` absent, `?` uncertain, then the finding, `[3d]` for a duration in days,
//! `*mild` for a degree, `@other` for somebody else's, `@past` for the past, `@over` for what is
//! said to be over.

mod any_text;
mod complaints;
mod measures;
mod scope;
mod time;

use std::sync::LazyLock;

use super::*;
use crate::medicine::vocabulary::tests as small;
use crate::tables::files::Files;

struct Fixture {
    vocabulary: Vocabulary,
    reader: Reader,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: LazyLock<Fixture> = LazyLock::new(build);
    &FIXTURE
}

fn build() -> Fixture {
    let mut files: Files = small::files();
    files.insert(CUES, include_str!("../../../../../models/diagnosis/cues.csv").as_bytes());
    let vocabulary = Vocabulary::load(&files).unwrap();
    let reader = Reader::new(&vocabulary, &Cues::load(&files).unwrap()).unwrap();
    Fixture { vocabulary, reader }
}

impl Fixture {
    fn short(&self, mention: &Mention) -> String {
        let mut out = String::from(match mention.presence {
            Presence::Present => "+",
            Presence::Absent => "-",
            Presence::Uncertain => "?",
        });
        out += self.vocabulary.finding_slug(mention.finding);
        if let Some(duration) = &mention.duration {
            let days = |days: f32| format!("{}", (days * 100.0).round() / 100.0);
            let (least, most) = (days(duration.least_days), days(duration.most_days));
            let range = if least == most { least } else { format!("{least}-{most}") };
            out.extend(["[", &range, "d]"]);
        }
        out += match mention.degree {
            Some(Degree::Mild) => "*mild",
            Some(Degree::Moderate) => "*moderate",
            Some(Degree::Severe) => "*severe",
            None => "",
        };
        if mention.experiencer == Experiencer::Other {
            out += "@other";
        }
        if mention.past {
            out += "@past";
        }
        if mention.resolved {
            out += "@over";
        }
        out
    }

    fn says(&self, text: &str) -> String {
        let reading = self.reader.read(text);
        reading.mentions.iter().map(|mention| self.short(mention)).collect::<Vec<_>>().join(" ")
    }
}

/// Checks every case and shows all that differ.
fn check(cases: &[(&str, &str)]) {
    let fixture = fixture();
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (text, expected, fixture.says(text)))
        .filter(|(_, expected, got)| got != *expected)
        .map(|(text, expected, got)| format!("{text}\n  expected {expected}\n  read     {got}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn values(text: &str) -> Vec<(&'static str, f32, MeasuredAt)> {
    let reading = fixture().reader.read(text);
    reading.measurements.iter().map(|m| (m.measure.name(), m.value, m.at)).collect()
}

fn unread(text: &str) -> Vec<String> {
    fixture().reader.read(text).unread.into_iter().map(|part| part.words).collect()
}

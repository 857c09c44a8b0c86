//! What the indication-fit model adds to a checked prescription: the order of alternatives that
//! rules rank alike, and hints. Deliberately absent: any way to add, raise, lower or drop a
//! finding. Rules decide; where the model fails, the answer goes out without it.

use super::ports::IndicationFit;
use super::prescription_check::FitHint;
use crate::medicine::prescription::{Order, PrescriptionKnowledge, Report};

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// Hints, in the order of the lines.
    pub(super) hints: Vec<FitHint>,
    /// Id and version of the model; empty where it is off, did not answer, or had nothing to go on.
    pub(super) model: String,
}

/// Asks the model, where it is switched on, about the medicines of the order and the alternatives.
pub(super) async fn suggest(
    model: Option<&dyn IndicationFit>,
    rules: &PrescriptionKnowledge,
    order: &Order,
    report: &mut Report,
) -> Fit {
    let Some(model) = model else { return Fit::default() };
    let categories = rules.categories(order);
    if categories.is_empty() {
        return Fit::default();
    }
    match ask(model, &categories, report).await {
        Ok(hints) => {
            let description = model.description();
            let name = format!("{} {}", description.id, description.version);
            Fit { hints, model: name }
        }
        Err(error) => {
            tracing::warn!(error = super::chain(&error), "indication-fit is left out");
            Fit::default()
        }
    }
}

async fn ask(
    model: &dyn IndicationFit,
    categories: &[String],
    report: &mut Report,
) -> Result<Vec<FitHint>, super::Error> {
    let lines = report.taken.iter().filter(|taken| taken.line.is_some());
    let lines = lines.filter_map(|taken| taken.code.clone());
    let others = report.findings.iter().flat_map(|f| &f.alternatives);
    let mut codes: Vec<String> = lines.chain(others.map(|one| one.code.clone())).collect();
    codes.sort_unstable();
    codes.dedup();
    let scores = model.fit(categories, &codes).await?;
    let score = |code: &str| {
        let at = codes.binary_search_by(|known| known.as_str().cmp(code)).ok()?;
        scores.get(at).copied().flatten()
    };
    for finding in &mut report.findings {
        finding.prefer(|one| score(&one.code));
    }
    let hints = report.taken.iter().filter_map(|taken| {
        let line = taken.line.as_ref()?;
        let fit = score(taken.code.as_deref()?).filter(|fit| *fit < model.hint_below())?;
        Some(FitHint {
            line: line.clone(),
            medicine: taken.written.clone(),
            fit,
            text: format!(
                "模型看{}与所写诊断不大相符（仅供参考，以规则为准）；请看诊断是否写全。",
                taken.written
            ),
        })
    });
    Ok(hints.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::Error;
    use crate::app::ports::{BoxFuture, ModelDescription};
    use crate::medicine::patient::Sex;
    use crate::medicine::prescription::{AllergyEntry, Kind, Line};

    /// Gives each medicine the score it is told to, or none of them any.
    #[derive(Debug)]
    struct Told {
        scores: Option<Vec<(String, f32)>>,
        description: ModelDescription,
    }

    impl Told {
        fn new(scores: Option<Vec<(String, f32)>>) -> Self {
            let description = ModelDescription {
                id: "indication-fit".to_owned(),
                version: "1".to_owned(),
                sha256: String::new(),
                precision: "f32",
                size_bytes: 0,
                engine: String::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                features: Vec::new(),
                labels: Vec::new(),
                load_us: 0,
                self_test_count: 0,
            };
            Self { scores, description }
        }
    }

    impl IndicationFit for Told {
        fn description(&self) -> &ModelDescription {
            &self.description
        }

        fn hint_below(&self) -> f32 {
            0.1
        }

        fn fit<'a>(
            &'a self,
            _: &'a [String],
            medicines: &'a [String],
        ) -> BoxFuture<'a, Result<Vec<Option<f32>>, Error>> {
            Box::pin(async move {
                let scores = self
                    .scores
                    .as_ref()
                    .ok_or(Error::Unavailable { what: "model", cause: None })?;
                let score = |code: &String| scores.iter().find(|s| s.0 == *code).map(|s| s.1);
                Ok(medicines.iter().map(score).collect())
            })
        }
    }

    fn rules() -> PrescriptionKnowledge {
        PrescriptionKnowledge::load(&crate::embedded::files()).unwrap()
    }

    /// Tonsillitis and hypertension: amoxicillin in spite of an allergy, and amlodipine.
    fn order() -> Order {
        let line = |id: &str, name: &str| Line {
            id: id.to_owned(),
            name: name.to_owned(),
            ..Line::default()
        };
        let mut order = Order {
            diagnoses: vec!["急性扁桃体炎".to_owned(), "高血压".to_owned()],
            lines: vec![line("1", "阿莫西林胶囊"), line("2", "氨氯地平片")],
            ..Order::default()
        };
        order.patient.age_years = Some(40.0);
        order.patient.sex = Some(Sex::Male);
        let entry = AllergyEntry { name: "青霉素".to_owned(), ..AllergyEntry::default() };
        order.allergies.push(entry);
        order
    }

    #[tokio::test]
    async fn a_model_orders_alternatives_of_one_rank_and_changes_no_finding() {
        let (rules, mut order) = (rules(), order());
        order.lines.truncate(1);
        let before = rules.check(&order);
        let about = before.findings.iter().find(|f| f.kind == Kind::Allergy).unwrap();
        let [first, second] = about.alternatives.as_slice() else { panic!("{about:#?}") };
        assert_eq!(first.rank, second.rank, "else there is nothing to order");
        for (best, worse) in [(first, second), (second, first)] {
            let scores = vec![(best.code.clone(), 0.9), (worse.code.clone(), 0.2)];
            let mut report = before.clone();
            let fit = suggest(Some(&Told::new(Some(scores))), &rules, &order, &mut report).await;
            assert_eq!((fit.model.as_str(), fit.hints), ("indication-fit 1", Vec::new()));
            let found = report.findings.iter().find(|f| f.id == about.id).unwrap();
            assert_eq!(found.alternatives[0], *best);
            let at = |name: &str| found.instead_zh.find(name).unwrap();
            let said = found.alternatives.iter().map(|one| at(&one.name_zh));
            assert!(said.is_sorted(), "{}", found.instead_zh);
            let still = |report: &Report| {
                let all = report.findings.iter();
                all.map(|f| (f.id.clone(), f.action, f.severity)).collect::<Vec<_>>()
            };
            assert_eq!(still(&report), still(&before));
        }
    }

    #[tokio::test]
    async fn a_score_below_the_cut_is_a_hint_and_no_finding() {
        let (rules, order) = (rules(), order());
        let code = |name: &str| {
            let known = rules.formulary().medicines().iter().find(|m| m.name_zh == name);
            known.unwrap().code.clone()
        };
        let model = Told::new(Some(vec![(code("阿莫西林"), 0.5), (code("氨氯地平"), 0.01)]));
        let before = rules.check(&order);
        let mut report = before.clone();
        let fit = suggest(Some(&model), &rules, &order, &mut report).await;
        let lines: Vec<_> = fit.hints.iter().map(|h| (h.line.as_str(), h.fit)).collect();
        assert_eq!(lines, [("2", 0.01)]);
        assert!(fit.hints[0].text.contains("氨氯地平片"), "{}", fit.hints[0].text);
        assert_eq!(report, before);
    }

    #[tokio::test]
    async fn off_failing_or_without_a_diagnosis_the_answer_goes_out_as_rules_have_it() {
        let (rules, mut order) = (rules(), order());
        let before = rules.check(&order);
        let failing: &dyn IndicationFit = &Told::new(None);
        for model in [None, Some(failing)] {
            let mut report = before.clone();
            let fit = suggest(model, &rules, &order, &mut report).await;
            assert_eq!((fit.model.as_str(), fit.hints), ("", Vec::new()));
            assert_eq!(report, before);
        }
        order.diagnoses = vec!["认不出的病名".to_owned()];
        let mut report = rules.check(&order);
        let model = Told::new(Some(vec![]));
        let fit = suggest(Some(&model), &rules, &order, &mut report).await;
        assert_eq!(fit.model, "");
    }
}

//! `xiangyi interview`: a consultation at the terminal, question by question.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;

use super::client::{Client, Talk};
use super::diagnose::CaseArgs;
use super::serve::answer;
use super::{Failure, Target, print, say};
use crate::rpc::proto::xiangyi::diagnosis::v1 as pb;
use crate::rpc::proto::xiangyi::diagnosis::v1::interview_response::Step as Reply;

/// What a person may answer.
const KEYS: &str =
    "y 有，n 没有，回车 不清楚，b 更正上一题，q 问完并给出结果（答完后自动给出；Ctrl+C 放弃）";

#[derive(Debug, Args)]
pub(super) struct InterviewArgs {
    #[command(flatten)]
    case: CaseArgs,
    /// Questions at most, 1 to 30
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    questions: u32,
    /// Print the last answer as JSON, in the form of the contract; questions go to standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What was answered to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Answer(pb::FindingState),
    Back,
    Finish,
}

pub(super) async fn run(args: InterviewArgs) -> Result<ExitCode, Failure> {
    let request = args.case.request()?;
    let client = Client::open(&args.target).await?;
    let (mut talk, mut reply) = client.interview(request, args.questions).await?;
    let mut page = Page { json: args.json, alarms: 0 };
    page.show(&format!("{KEYS}\n"))?;
    let mut asked: Vec<pb::Question> = Vec::new();
    let mut again: Option<pb::Question> = None;
    loop {
        page.alarms(&reply.red_flags)?;
        let question = match (again.take(), reply.step.clone()) {
            (Some(question), _) | (None, Some(Reply::Question(question))) => question,
            (None, Some(Reply::Consultation(_)) | None) => break,
        };
        page.ask(&question, &reply.leading)?;
        match hear(&page).await? {
            Word::Answer(state) => {
                reply = talk.answer(&question.finding_id, state).await?;
                asked.push(question);
            }
            Word::Back => match asked.pop() {
                Some(last) => again = Some(last),
                None => page.show("还没有答过的题\n")?,
            },
            Word::Finish => reply = talk.finish().await?,
        }
    }
    let Some(Reply::Consultation(consultation)) = reply.step else {
        return Err("the node ended the interview without a consultation".into());
    };
    let response = pb::DiagnoseResponse { consultation: Some(consultation), replayed: false };
    answer(args.json, "xiangyi.diagnosis.v1.DiagnoseResponse", &response, || {
        let kept = response.consultation.as_ref();
        kept.map(|c| format!("\n{}{}\n", print::consultation(c), c.disclaimer)).unwrap_or_default()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The next answer; the end of the input finishes.
async fn hear(page: &Page) -> Result<Word, Failure> {
    loop {
        let read = || std::io::stdin().lines().next().transpose();
        let Some(line) = tokio::task::spawn_blocking(read).await?? else { return Ok(Word::Finish) };
        if !std::io::stdin().is_terminal() {
            page.show(&format!("{line}\n"))?;
        }
        match word(&line) {
            Some(word) => return Ok(word),
            None => page.show(&format!("请回答：{KEYS}\n> "))?,
        }
    }
}

fn word(line: &str) -> Option<Word> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" | "有" | "是" | "1" => Some(Word::Answer(pb::FindingState::Present)),
        "n" | "no" | "无" | "没有" | "否" | "0" => Some(Word::Answer(pb::FindingState::Absent)),
        "" | "s" | "?" | "？" | "不清楚" => Some(Word::Answer(pb::FindingState::Uncertain)),
        "b" | "back" | "更正" => Some(Word::Back),
        "q" | "quit" | "完" => Some(Word::Finish),
        _ => None,
    }
}

/// What is shown while it goes on.
struct Page {
    json: bool,
    /// Red flags shown so far.
    alarms: usize,
}

impl Page {
    /// To standard output, or to standard error where that carries JSON.
    fn show(&self, text: &str) -> Result<(), Failure> {
        use std::io::Write as _;
        if self.json {
            // A person who closed standard error wants no questions shown.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            return Ok(());
        }
        say(text)
    }

    /// Red flags are told as soon as they fire, and again when more do.
    fn alarms(&mut self, flags: &[pb::RedFlag]) -> Result<(), Failure> {
        if flags.len() > self.alarms {
            let mut text = String::new();
            for flag in flags {
                print::red_flag(&mut text, flag);
            }
            self.show(&text)?;
        }
        self.alarms = flags.len();
        Ok(())
    }

    fn ask(
        &self,
        question: &pb::Question,
        leading: &[pb::LeadingCondition],
    ) -> Result<(), Failure> {
        let mut text = String::new();
        let names: Vec<_> = leading
            .iter()
            .map(|c| format!("{} {}", c.name, print::percent(c.probability)))
            .collect();
        if !names.is_empty() {
            let _ = writeln!(text, "  目前：{}", names.join("，"));
        }
        let _ = write!(text, "{}", question.question);
        if !question.about.is_empty() {
            let _ = write!(text, "（为了：{}）", question.about.join("、"));
        }
        text.push_str("\n> ");
        self.show(&text)
    }
}

impl Client {
    /// Begins an interview; gives it and what is said first.
    async fn interview(
        &self,
        request: pb::DiagnoseRequest,
        questions: u32,
    ) -> Result<(Talk, pb::InterviewResponse), Failure> {
        let mut talk = self.talk(request, questions).await?;
        let reply = talk.hear().await?;
        Ok((talk, reply))
    }
}

#[cfg(test)]
mod tests {
    use super::{Word, pb, word};

    #[test]
    fn answers_are_read_in_chinese_and_english_and_anything_else_is_asked_again() {
        assert_eq!(word(" 有 "), Some(Word::Answer(pb::FindingState::Present)));
        assert_eq!(word("N"), Some(Word::Answer(pb::FindingState::Absent)));
        assert_eq!(word(""), Some(Word::Answer(pb::FindingState::Uncertain)));
        assert_eq!(word("b"), Some(Word::Back));
        assert_eq!(word("q"), Some(Word::Finish));
        assert_eq!(word("也许吧"), None);
    }
}

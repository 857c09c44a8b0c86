//! What is wrong with the particulars of a person, in words that never repeat them.

use std::fmt;

/// The part of a person's particulars that a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Name.
    Name,
    /// Birth date.
    BirthDate,
    /// Resident ID number (公民身份号码).
    ResidentId,
    /// Health card number (居民健康卡号).
    HealthCard,
    /// Telephone number.
    Phone,
    /// Code of the village.
    Village,
    /// The particulars as a whole.
    Person,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A resident ID that has neither 18 nor 15 characters.
    Length,
    /// Characters that do not belong there.
    Characters,
    /// A resident ID whose first digits are no region's.
    Region,
    /// A date that does not exist.
    NoSuchDate,
    /// A date after the day on which it was sent.
    InFuture,
    /// A date more than 130 years before the day on which it was sent.
    TooLongAgo,
    /// The check digit does not fit: a digit is wrong or two changed places.
    CheckDigit,
    /// Nothing is left of it, or there was nothing.
    Empty,
    /// Longer than anything of its kind.
    TooLong,
    /// A name that says whose child or spouse somebody is, not who.
    NameOfRelative,
    /// A name that hides characters (张*, 李某).
    NameHidden,
    /// A stand-in for a name (无名氏, 测试).
    NameUnknown,
    /// A name alone tells nobody apart.
    TooLittle,
}

/// Something that is wrong with a person's particulars. It names the part and never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The part.
    pub part: Part,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

impl Part {
    /// What a doctor calls it.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Name => "姓名",
            Self::BirthDate => "出生日期",
            Self::ResidentId => "身份证号",
            Self::HealthCard => "健康卡号",
            Self::Phone => "电话",
            Self::Village => "村（居）委会代码",
            Self::Person => "个人信息",
        }
    }
}

impl Problem {
    /// A problem with one part.
    pub fn new(part: Part, kind: ProblemKind) -> Self {
        Self { part, kind }
    }

    /// What a doctor reads: what is wrong and what to do.
    pub fn zh(&self) -> String {
        let says = match self.kind {
            ProblemKind::Length => "应为18位（旧号15位），请核对位数",
            ProblemKind::Characters => "含有不应有的字符，请核对",
            ProblemKind::Region => "开头的地区代码不存在，请核对",
            ProblemKind::NoSuchDate => "中的日期不存在，请核对",
            ProblemKind::InFuture => "晚于填报日期，请核对",
            ProblemKind::TooLongAgo => "距今超过130年，请核对",
            ProblemKind::CheckDigit => "校验位不符，有数字写错或颠倒，请对照证件核对",
            ProblemKind::Empty => "未填写",
            ProblemKind::TooLong => "过长，请核对",
            ProblemKind::NameOfRelative => {
                "写的是与他人的关系，不是本人姓名；请填写本人姓名，新生儿请在取名后登记"
            }
            ProblemKind::NameHidden => "有隐去的字，请填写完整姓名",
            ProblemKind::NameUnknown => "不是真实姓名，请核实身份后填写",
            ProblemKind::TooLittle => {
                "不足以辨认：身份证号、健康卡号、电话、出生日期、村（居）委会代码至少要有一项"
            }
        };
        format!("{}{says}", self.part.zh())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.zh())
    }
}

impl std::error::Error for Problem {}

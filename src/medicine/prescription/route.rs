//! Ways a medicine enters the body, as the tables name them and as prescriptions write them.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::tables::table::list;

/// A route of administration. The names in `medicines.csv` are the variants in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// 口服
    Oral,
    /// 静脉
    Iv,
    /// 肌内
    Im,
    /// 皮下
    Sc,
    /// 外用, on skin or mucosa for an effect there.
    Topical,
    /// 吸入
    Inhaled,
    /// 直肠
    Rectal,
    /// 阴道
    Vaginal,
    /// 眼
    Ophthalmic,
    /// 耳
    Otic,
    /// 鼻
    Nasal,
    /// 舌下
    Sublingual,
    /// 鞘内
    Intrathecal,
    /// Another way, among them patches that act on the whole body.
    Other,
}

/// A set of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Routes(u16);

/// Written words and the route they mean. Searched in order, so that the specific comes before
/// the general (阴道片 before 片, 舌下 before 含服) and the stated way before the form. Forms that
/// are drunk as well as put on the skin (凝胶, 酊, 喷雾剂) say nothing.
const WORDS: &[(&str, Route)] = &[
    ("透皮", Route::Other),
    ("贴片", Route::Other),
    ("皮内", Route::Other),
    ("皮试", Route::Other),
    ("鞘内", Route::Intrathecal),
    ("关节腔", Route::Other),
    ("舌下", Route::Sublingual),
    ("阴道", Route::Vaginal),
    ("滴眼", Route::Ophthalmic),
    ("点眼", Route::Ophthalmic),
    ("眼膏", Route::Ophthalmic),
    ("眼用", Route::Ophthalmic),
    ("眼药", Route::Ophthalmic),
    ("涂眼", Route::Ophthalmic),
    ("眼内", Route::Ophthalmic),
    ("滴耳", Route::Otic),
    ("耳用", Route::Otic),
    ("滴鼻", Route::Nasal),
    ("鼻喷", Route::Nasal),
    ("喷鼻", Route::Nasal),
    ("鼻用", Route::Nasal),
    ("鼻腔", Route::Nasal),
    ("雾化", Route::Inhaled),
    ("吸入", Route::Inhaled),
    ("直肠", Route::Rectal),
    ("灌肠", Route::Rectal),
    ("纳肛", Route::Rectal),
    ("塞肛", Route::Rectal),
    ("肛门", Route::Rectal),
    ("静脉", Route::Iv),
    ("静滴", Route::Iv),
    ("静注", Route::Iv),
    ("静推", Route::Iv),
    ("静点", Route::Iv),
    ("输液", Route::Iv),
    ("肌注", Route::Im),
    ("肌内", Route::Im),
    ("肌肉", Route::Im),
    ("皮下", Route::Sc),
    ("外用", Route::Topical),
    ("外涂", Route::Topical),
    ("外敷", Route::Topical),
    ("外洗", Route::Topical),
    ("外搽", Route::Topical),
    ("外擦", Route::Topical),
    ("外贴", Route::Topical),
    ("涂抹", Route::Topical),
    ("涂患处", Route::Topical),
    ("喷患处", Route::Topical),
    ("敷患处", Route::Topical),
    ("搽患处", Route::Topical),
    ("擦患处", Route::Topical),
    ("湿敷", Route::Topical),
    ("含漱", Route::Topical),
    ("漱口", Route::Topical),
    ("口服", Route::Oral),
    ("内服", Route::Oral),
    ("冲服", Route::Oral),
    ("吞服", Route::Oral),
    ("嚼服", Route::Oral),
    ("含服", Route::Oral),
    ("软膏", Route::Topical),
    ("乳膏", Route::Topical),
    ("贴膏", Route::Topical),
    ("洗剂", Route::Topical),
    ("搽剂", Route::Topical),
    ("擦剂", Route::Topical),
    ("涂剂", Route::Topical),
    ("片", Route::Oral),
    ("胶囊", Route::Oral),
    ("颗粒", Route::Oral),
    ("糖浆", Route::Oral),
    ("合剂", Route::Oral),
    ("混悬", Route::Oral),
    ("干糖浆", Route::Oral),
    ("滴丸", Route::Oral),
    ("丸", Route::Oral),
];

/// Finds all of [`WORDS`] in one pass; a constant list always builds.
static WORD_FINDER: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(WORDS.iter().map(|(word, _)| word)).ok());

/// Forms made for one local route only.
const LOCAL_FORMS: &[(&str, Route)] = &[
    ("滴眼液", Route::Ophthalmic),
    ("滴眼剂", Route::Ophthalmic),
    ("眼膏", Route::Ophthalmic),
    ("眼用凝胶", Route::Ophthalmic),
    ("滴耳液", Route::Otic),
    ("滴耳剂", Route::Otic),
    ("滴鼻液", Route::Nasal),
    ("滴鼻剂", Route::Nasal),
    ("鼻喷雾剂", Route::Nasal),
    ("软膏", Route::Topical),
    ("乳膏", Route::Topical),
    ("贴膏", Route::Topical),
    ("洗剂", Route::Topical),
    ("搽剂", Route::Topical),
    ("擦剂", Route::Topical),
    ("涂剂", Route::Topical),
];

/// Latin abbreviations; they must stand alone.
const LATIN: &[(&str, Route)] = &[
    ("po", Route::Oral),
    ("oral", Route::Oral),
    ("iv", Route::Iv),
    ("ivgtt", Route::Iv),
    ("ivdrip", Route::Iv),
    ("im", Route::Im),
    ("sc", Route::Sc),
    ("ih", Route::Sc),
    ("topical", Route::Topical),
    ("inhaled", Route::Inhaled),
    ("inh", Route::Inhaled),
    ("rectal", Route::Rectal),
    ("pr", Route::Rectal),
    ("vaginal", Route::Vaginal),
    ("pv", Route::Vaginal),
    ("ophthalmic", Route::Ophthalmic),
    ("otic", Route::Otic),
    ("nasal", Route::Nasal),
    ("sublingual", Route::Sublingual),
    ("sl", Route::Sublingual),
    ("other", Route::Other),
];

impl Routes {
    /// Every route.
    pub(super) const ALL: Self = Self(u16::MAX);

    /// Routes into the body: all but those that act where they are put.
    pub(super) fn systemic() -> Self {
        let local = [Route::Topical, Route::Ophthalmic, Route::Otic, Route::Vaginal];
        Self(local.into_iter().fold(u16::MAX, |set, route| set & !Self::bit(route)))
    }

    /// A rule's cell: empty for routes into the body, `any`, or names joined with `|`. The name
    /// that is no route is the error.
    pub(super) fn read(cell: &str) -> Result<Self, String> {
        match cell {
            "" => Ok(Self::systemic()),
            "any" => Ok(Self::ALL),
            names => list(names).try_fold(Self(0), |set, name| {
                Route::named(name)
                    .map(|route| Self(set.0 | Self::bit(route)))
                    .ok_or_else(|| name.to_owned())
            }),
        }
    }

    /// Whether a route is in the set. One that nobody stated may be any.
    pub(super) fn may_hold(self, route: Option<Route>) -> bool {
        route.is_none_or(|route| self.0 & Self::bit(route) != 0)
    }

    fn bit(route: Route) -> u16 {
        let place = match route {
            Route::Oral => 0,
            Route::Iv => 1,
            Route::Im => 2,
            Route::Sc => 3,
            Route::Topical => 4,
            Route::Inhaled => 5,
            Route::Rectal => 6,
            Route::Vaginal => 7,
            Route::Ophthalmic => 8,
            Route::Otic => 9,
            Route::Nasal => 10,
            Route::Sublingual => 11,
            Route::Intrathecal => 12,
            Route::Other => 13,
        };
        1 << place
    }
}

impl Route {
    /// The route of a table's name.
    pub(super) fn named(name: &str) -> Option<Self> {
        use serde::Deserialize as _;
        let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name);
        Self::deserialize(name).ok()
    }

    /// How the route is written in answers.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::Oral => "口服",
            Self::Iv => "静脉",
            Self::Im => "肌内注射",
            Self::Sc => "皮下注射",
            Self::Topical => "外用",
            Self::Inhaled => "吸入",
            Self::Rectal => "直肠给药",
            Self::Vaginal => "阴道给药",
            Self::Ophthalmic => "眼用",
            Self::Otic => "耳用",
            Self::Nasal => "鼻用",
            Self::Sublingual => "舌下",
            Self::Intrathecal => "鞘内",
            Self::Other => "其他途径",
        }
    }

    /// The route a folded text speaks of: a route column (`口服`, `ivgtt`) or the words that
    /// follow a medicine's name (`0.5g 滴眼液`). `None` where it does not say.
    pub(super) fn read(folded: &str) -> Option<Self> {
        let written = WORD_FINDER.as_ref().and_then(|finder| {
            let found = finder.find_overlapping_iter(folded).map(|m| m.pattern().as_usize());
            found.min().and_then(|first| WORDS.get(first)).map(|(_, route)| *route)
        });
        written.or_else(|| {
            folded
                .split(|c: char| !c.is_ascii_alphabetic())
                .find_map(|word| LATIN.iter().find(|(w, _)| *w == word).map(|(_, route)| *route))
        })
    }

    /// The route of a form that is made for one local route only (眼膏); `None` for other forms.
    pub(super) fn of_form(folded: &str) -> Option<Self> {
        LOCAL_FORMS.iter().find(|(form, _)| folded.contains(form)).map(|(_, route)| *route)
    }

    /// Whether the medicine is put where it is to act and little of it reaches the blood: skin,
    /// eye, ear, vagina. Nose, rectum and lung count as ways into the body.
    pub fn is_local(self) -> bool {
        match self {
            Self::Topical | Self::Ophthalmic | Self::Otic | Self::Vaginal => true,
            Self::Oral
            | Self::Iv
            | Self::Im
            | Self::Sc
            | Self::Inhaled
            | Self::Rectal
            | Self::Nasal
            | Self::Sublingual
            | Self::Intrathecal
            | Self::Other => false,
        }
    }

    /// Whether it goes in through a needle.
    pub fn is_injected(self) -> bool {
        matches!(self, Self::Iv | Self::Im | Self::Sc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_prescriptions_write_them() {
        for (text, route) in [
            ("口服", Some(Route::Oral)),
            ("po", Some(Route::Oral)),
            ("静脉滴注", Some(Route::Iv)),
            ("ivgtt st", Some(Route::Iv)),
            ("肌肉注射", Some(Route::Im)),
            ("滴眼液 5ml", Some(Route::Ophthalmic)),
            ("阴道片", Some(Route::Vaginal)),
            ("透皮贴剂 外用", Some(Route::Other)),
            ("缓释片30mg", Some(Route::Oral)),
            ("舌下含服", Some(Route::Sublingual)),
            ("import", None),
            ("注射液", None),
            ("", None),
        ] {
            assert_eq!(Route::read(text), route, "{text}");
        }
    }

    #[test]
    fn skin_eye_ear_and_vagina_are_local_and_the_rectum_is_not() {
        assert!(Route::Topical.is_local() && Route::Vaginal.is_local());
        assert!(!Route::Rectal.is_local() && !Route::Nasal.is_local() && !Route::Other.is_local());
    }
}

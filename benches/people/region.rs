//! A made-up region of people who live in households of real villages, and what clerks make of
//! their particulars. Everything follows from numbers: the same person comes out every time.
//!
//! Surnames are as common as `models/people/surnames.csv` says, given names fall off as in Zipf's
//! law; half of a village bears one of two surnames and many of a generation share a character, as
//! in the clan villages of Jiangxi; households share telephones; one in seventy pairs of children
//! are twins. How often clerks slip is made up as well ([`Slips`]).

use std::collections::HashMap;
use std::path::Path;

use xiangyi::sharing::patient::identifier::check_digit;
use xiangyi::sharing::patient::name::Name;
use xiangyi::sharing::patient::{BirthDate, PeopleTables, Person, Sex};

/// Members of a household: two parents, two children.
pub(crate) const MEMBERS: u64 = 4;

const MEN: &str = "伟强勇军明辉建国华平志文林峰斌杰波涛超俊海龙鹏飞刚亮浩宇晨阳鑫磊洋健东成良春生金水根福贵祥荣光新民德才有发财庆立家兴永忠义孝礼仁信诚宏伦昌盛茂松柏青山川江河泉源旺火土木长高大小天地日月星云雷雨雪冬秋夏元清正方学书诗达远进胜利武威雄豪毅坚定恒安康宁和顺吉瑞嘉庭轩博睿泽涵子梓俊熙皓煜然";
const WOMEN: &str = "秀英芳兰娟丽敏静玲燕红霞梅艳萍莲香凤珍玉桂花春菊琴云清月娥翠彩金银美巧淑慧贞素爱莉莎娜婷婵雪晶洁倩瑶琳琪璐颖欣怡悦佳嘉雯雅诗思梦晓小冬秋夏细妹女仙水凡蓉蕾薇芬芸茜荷莹露霜冰青竹叶枝苗珠珊珮环璇宝贝心慈惠贤良娇媛妍妙姣婉柔和平安宁福禄喜庆梓涵萱宸依伊一语";

/// How often clerks slip, in chances of a thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slips {
    pub(crate) no_resident_id: u64,
    pub(crate) borrowed_card: u64,
    pub(crate) homophone: u64,
    pub(crate) other_character: u64,
    pub(crate) character_left_out: u64,
    pub(crate) remark: u64,
    pub(crate) birth_date_missing: u64,
    pub(crate) year_only: u64,
    pub(crate) birth_digit: u64,
    pub(crate) birth_swapped: u64,
    pub(crate) birth_other: u64,
    pub(crate) sex_missing: u64,
    pub(crate) sex_wrong: u64,
    pub(crate) phone_missing: u64,
    pub(crate) phone_changed: u64,
    pub(crate) village_missing: u64,
    pub(crate) village_coarse: u64,
    pub(crate) moved: u64,
    pub(crate) no_card: u64,
}

impl Slips {
    /// A careful hospital.
    pub(crate) const USUAL: Self = Self {
        no_resident_id: 500,
        borrowed_card: 5,
        homophone: 20,
        other_character: 8,
        character_left_out: 3,
        remark: 20,
        birth_date_missing: 40,
        year_only: 40,
        birth_digit: 15,
        birth_swapped: 4,
        birth_other: 12,
        sex_missing: 20,
        sex_wrong: 3,
        phone_missing: 300,
        phone_changed: 250,
        village_missing: 300,
        village_coarse: 100,
        moved: 80,
        no_card: 800,
    };

    /// Three times as many of every slip.
    pub(crate) const MANY: Self = Self {
        no_resident_id: 800,
        borrowed_card: 15,
        homophone: 60,
        other_character: 24,
        character_left_out: 9,
        remark: 60,
        birth_date_missing: 120,
        year_only: 120,
        birth_digit: 45,
        birth_swapped: 12,
        birth_other: 36,
        sex_missing: 60,
        sex_wrong: 9,
        phone_missing: 400,
        phone_changed: 350,
        village_missing: 450,
        village_coarse: 150,
        moved: 240,
        no_card: 900,
    };
}

/// Numbers that look random and follow from what they are asked for.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
        dice.next();
        dice.0 ^= number.rotate_left(32);
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn chance(&mut self, per_thousand: u64) -> bool {
        self.roll(1_000) < per_thousand
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The region.
pub(crate) struct Region {
    seed: u64,
    villages: Vec<(String, String)>,
    /// Surnames with the shares of all up to and including them.
    surnames: Vec<(String, f64)>,
    men: Vec<char>,
    women: Vec<char>,
    homophones: HashMap<char, Vec<char>>,
}

impl Region {
    pub(crate) fn new(seed: u64, villages: &Path, tables: &PeopleTables) -> Self {
        let mut reader = csv::Reader::from_path(villages).unwrap();
        let villages = reader
            .records()
            .map(|row| {
                let row = row.unwrap();
                (row[0].to_owned(), row[1].replace("民委员会", ""))
            })
            .collect();
        let all: f64 = tables.names.surnames().map(|(_, share)| share).sum();
        let mut sum = 0.0;
        let surnames = tables
            .names
            .surnames()
            .map(|(surname, share)| {
                sum += share / all;
                (surname.to_owned(), sum)
            })
            .collect();
        let (men, women) = (MEN.chars().collect(), WOMEN.chars().collect());
        let mut by_sound: HashMap<String, Vec<char>> = HashMap::new();
        let mut homophones = HashMap::new();
        for c in MEN.chars().chain(WOMEN.chars()) {
            let name = Name::parse(&format!("王{c}"), &tables.names).unwrap();
            let [_, last] = name.view().ends();
            let same = by_sound.entry(last[0].clone()).or_default();
            if !same.contains(&c) {
                same.push(c);
            }
        }
        for same in by_sound.values() {
            for c in same {
                homophones.insert(*c, same.iter().copied().filter(|o| o != c).collect());
            }
        }
        Self { seed, villages, surnames, men, women, homophones }
    }

    fn dice(&self, purpose: u64, number: u64) -> Dice {
        Dice::of(self.seed * 100 + purpose, number)
    }

    fn surname(&self, at: f64) -> &str {
        let place = self.surnames.partition_point(|(_, sum)| *sum < at);
        &self.surnames[place.min(self.surnames.len() - 1)].0
    }

    /// The first characters of the list are much commoner than the last.
    fn character(&self, sex: Sex, dice: &mut Dice) -> char {
        let list = if sex == Sex::Male { &self.men } else { &self.women };
        let place = (dice.unit().powf(1.8) * list.len() as f64) as usize;
        list[place.min(list.len() - 1)]
    }

    /// The person of a number, as registered.
    pub(crate) fn person(&self, number: u64) -> Person {
        let (house, member) = (number / MEMBERS, number % MEMBERS);
        let mut home = self.dice(1, house);
        let village_at = home.roll(self.villages.len() as u64);
        let (village, village_name) = &self.villages[village_at as usize];
        let mut clan = self.dice(2, village_at);
        let clans = [clan.unit(), clan.unit()];
        let surname_at = match home.roll(4) {
            0 => clans[0],
            1 => clans[home.roll(2) as usize],
            _ => home.unit(),
        };
        let wife_at = home.unit();
        let father_born = 1_930 + home.roll(70);
        let group = 1 + home.roll(12);
        let door = 1 + home.roll(300);
        let home_phone = 10_000_000 + home.roll(90_000_000);
        let twins = home.roll(70) == 0;
        let mut dice = self.dice(3, number);
        let sex = match member {
            0 => Sex::Male,
            1 => Sex::Female,
            _ if dice.roll(100) < 52 => Sex::Male,
            _ => Sex::Female,
        };
        // Twins are born on one day; the dice of the first child tell.
        let mut birth = self.dice(4, if member == 3 && twins { number - 1 } else { number });
        let year = match member {
            0 => father_born,
            1 => father_born + birth.roll(6),
            _ => father_born + 22 + birth.roll(12),
        };
        let (month, day) =
            if birth.roll(100) == 0 { (1, 1) } else { (1 + birth.roll(12), 1 + birth.roll(28)) };
        let surname = self.surname(if member == 1 { wife_at } else { surname_at });
        let mut name = surname.to_owned();
        let of_generation = member > 1 && home.roll(3) > 0;
        if dice.roll(5) > 0 {
            let mut shared =
                self.dice(5, village_at * 400 + year / 8 * 2 + u64::from(sex == Sex::Male));
            let first = if of_generation { &mut shared } else { &mut dice };
            name.push(self.character(sex, first));
        }
        name.push(self.character(sex, &mut dice));
        let county = &village[..6];
        let sequence = dice.roll(500) * 2 + u64::from(sex == Sex::Male);
        let digits = format!("{county}{year}{month:02}{day:02}{sequence:03}");
        let own_phone = 10_000_000 + dice.roll(90_000_000);
        let phone = if dice.roll(2) == 0 { own_phone } else { home_phone };
        let date = BirthDate::new(year as u16, Some(month as u8), Some(day as u8));
        Person {
            name,
            birth_date: date,
            sex: Some(sex),
            resident_id: (dice.roll(100) < 96)
                .then(|| format!("{digits}{}", check_digit(&digits).unwrap())),
            health_card: (dice.roll(100) < 70).then(|| format!("3611{:014}", number * 7 + 3)),
            phone: (dice.roll(100) < 85).then(|| format!("139{phone}")),
            village: Some(village.clone()),
            address: (dice.roll(100) < 60).then(|| format!("{village_name}{group}组{door}号")),
            sent_on: None,
        }
    }

    /// What a clerk sends of a person.
    pub(crate) fn sent(&self, number: u64, slips: &Slips) -> Person {
        let mut person = self.person(number);
        let mut dice = self.dice(6, number);
        let dice = &mut dice;
        if dice.chance(slips.no_resident_id) {
            person.resident_id = None;
        } else if dice.chance(slips.borrowed_card) {
            let relative = number / MEMBERS * MEMBERS + (number + 1 + dice.roll(3)) % MEMBERS;
            person.resident_id = self.person(relative).resident_id;
        }
        person.name = self.misspelled(&person.name, slips, dice);
        person.birth_date = misdated(person.birth_date, slips, dice);
        if dice.chance(slips.sex_missing) {
            person.sex = None;
        } else if dice.chance(slips.sex_wrong) {
            person.sex = person.sex.map(|sex| match sex {
                Sex::Male => Sex::Female,
                Sex::Female => Sex::Male,
            });
        }
        if dice.chance(slips.phone_missing) {
            person.phone = None;
        } else if dice.chance(slips.phone_changed) {
            person.phone = Some(format!("138{}", 10_000_000 + dice.roll(90_000_000)));
        }
        if dice.chance(slips.no_card) {
            person.health_card = None;
        }
        if dice.chance(slips.moved) {
            let at = dice.roll(self.villages.len() as u64) as usize;
            person.village = Some(self.villages[at].0.clone());
            person.address = None;
        } else if dice.chance(slips.village_coarse) {
            person.village = person.village.map(|village| village[..9].to_owned());
        }
        if dice.chance(slips.village_missing) {
            person.village = None;
        }
        if dice.roll(2) == 0 {
            person.address = None;
        }
        person
    }

    fn misspelled(&self, name: &str, slips: &Slips, dice: &mut Dice) -> String {
        let mut chars: Vec<char> = name.chars().collect();
        let at = chars.len() - 1 - dice.roll(chars.len() as u64 - 1) as usize;
        if dice.chance(slips.homophone) {
            let same = self.homophones.get(&chars[at]).filter(|same| !same.is_empty());
            if let Some(same) = same {
                chars[at] = same[dice.roll(same.len() as u64) as usize];
            }
        } else if dice.chance(slips.other_character) {
            chars[at] = self.character(Sex::Male, dice);
        } else if dice.chance(slips.character_left_out) && chars.len() > 2 {
            chars.remove(at);
        }
        let mut name: String = chars.into_iter().collect();
        if dice.chance(slips.remark) {
            name.push_str("（新农合）");
        }
        name
    }
}

fn misdated(date: Option<BirthDate>, slips: &Slips, dice: &mut Dice) -> Option<BirthDate> {
    let date = date?;
    let (year, month, day) = (date.year(), date.month()?, date.day()?);
    if dice.chance(slips.birth_date_missing) {
        return None;
    }
    let changed = if dice.chance(slips.year_only) {
        BirthDate::new(year, None, None)
    } else if dice.chance(slips.birth_digit) {
        match dice.roll(3) {
            0 => BirthDate::new(year - 1 + dice.roll(2) as u16 * 11, Some(month), Some(day)),
            1 => BirthDate::new(year, Some(1 + (month + 2) % 9), Some(day)),
            _ => BirthDate::new(year, Some(month), Some(1 + (day + 10) % 28)),
        }
    } else if dice.chance(slips.birth_swapped) {
        BirthDate::new(year, Some(day), Some(month))
    } else if dice.chance(slips.birth_other) {
        // The day of the old calendar.
        BirthDate::new(year, Some(1 + (month + 10) % 12), Some(1 + (day + 9) % 28))
    } else {
        None
    };
    changed.or(Some(date))
}

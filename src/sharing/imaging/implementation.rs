//! How this implementation names itself to peers and in the files it writes (PS3.7, D.3.3.2;
//! PS3.10, 7.1).
//!
//! The root is a UUID in the form that PS3.5, B.2 allows, so nobody has to be asked for one. It is
//! `cf361479-5e2b-4567-a691-f2b9e996f981`, drawn at random once, and must never change: peers keep
//! lists of implementations by it.

/// Implementation class UID.
pub const CLASS_UID: &str = "2.25.275430994421782106131176500518119209345";

/// Implementation version name, at most 16 characters.
pub const VERSION_NAME: &str = "XIANGYI_0_1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_fit_where_they_are_written() {
        let number = 0xcf36_1479_5e2b_4567_a691_f2b9_e996_f981_u128;
        assert_eq!(CLASS_UID, format!("2.25.{number}"));
        assert!(CLASS_UID.len() <= 64 && VERSION_NAME.len() <= 16);
    }
}

//! That a keyring opens with its master keys, says what is wrong otherwise, and cannot be altered.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

/// Chance that differs from call to call.
fn counting() -> impl Fn(&mut [u8]) -> Result<(), Fault> {
    let next = Cell::new(1_u64);
    move |out: &mut [u8]| {
        for part in out.chunks_mut(8) {
            next.set(next.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            let bytes = next.get().to_be_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
        Ok(())
    }
}

fn master(byte: u8, cipher: Cipher) -> KnownMaster {
    KnownMaster::new(cipher, Secret::new(vec![byte; 32])).unwrap()
}

fn full(random: Random<'_>, masters: &[&dyn Master]) -> Keyring {
    let mut ring = Keyring::new(Cipher::Aes256Gcm, masters, random).unwrap();
    for (purpose, length) in
        [("database/xiangyi.db", 32), ("archive", 32), ("secret/audit.key", 40)]
    {
        let mut secret = vec![0; length];
        random(&mut secret).unwrap();
        ring.add(purpose, Secret::new(secret), 5).unwrap();
    }
    ring
}

#[test]
fn a_ring_opens_with_any_of_its_masters_and_says_which_it_needs() {
    let random = counting();
    let (one, two) = (master(1, Cipher::Aes256Gcm), master(2, Cipher::Sm4Gcm));
    let ring = full(&random, &[&one, &two]);
    let text = ring.seal(&random).unwrap().text().unwrap();
    let sealed = Sealed::parse(&text).unwrap();
    for opener in [&one, &two] {
        let opened = sealed.open(&[opener]).unwrap();
        assert_eq!((opened.generation, opened.keys()), (1, ring.keys()));
        assert_eq!(opened.newest("archive").unwrap().made_ms, 5);
        assert_eq!(opened.newest("secret/audit.key").unwrap().secret.expose().len(), 40);
    }
    for key in ring.keys() {
        assert!(!text.contains(&hex(key.secret.expose())), "a secret is in the file");
    }
    let stranger = master(3, Cipher::Aes256Gcm);
    let fault = sealed.open(&[&stranger]).unwrap_err();
    let needs = format!("{} or {}", one.id(), two.id());
    assert_eq!(fault, Fault::Master { needs, given: stranger.id().to_string() });
    assert!(KnownMaster::new(Cipher::Aes256Gcm, Secret::new(vec![1; 31])).is_err());
}

#[test]
fn rotation_keeps_every_key_and_shuts_the_old_master_out() {
    let random = counting();
    let (old, new) = (master(1, Cipher::Aes256Gcm), master(2, Cipher::Aes256Gcm));
    let ring = full(&random, &[&old]);
    let both = ring.clone().rotated(&[&old, &new], &random).unwrap();
    let sealed = both.seal(&random).unwrap();
    assert_eq!(sealed.open(&[&old]).unwrap().keys(), ring.keys());
    let opened = sealed.open(&[&new]).unwrap();
    let alone = opened.rotated(&[&new], &random).unwrap().seal(&random).unwrap();
    assert_eq!(alone.open(&[&new]).unwrap().keys(), ring.keys());
    assert_eq!(alone.open(&[&new]).unwrap().generation, 2);
    assert!(matches!(alone.open(&[&old]), Err(Fault::Master { .. })));
    // Who kept the key of the old ring has none of the new one.
    let forged = Sealed { masters: sealed.masters.clone(), ..alone };
    assert_eq!(forged.open(&[&old]), Err(Fault::Altered));
}

#[test]
fn what_is_said_in_the_file_cannot_be_changed() {
    let random = counting();
    let one = master(1, Cipher::Aes256Gcm);
    let good = full(&random, &[&one]).seal(&random).unwrap();
    let changes: [&dyn Fn(&mut Sealed); 9] = [
        &|s| s.generation += 1,
        &|s| s.cipher = Cipher::Sm4Gcm,
        &|s| drop(s.keys.pop()),
        &|s| s.keys.swap(0, 1),
        &|s| s.keys[0].purpose.push('x'),
        &|s| s.keys[0].made_ms += 1,
        &|s| s.keys[0].cipher = Cipher::Sm4Gcm,
        &|s| s.keys[0].wrapped = s.keys[1].wrapped.clone(),
        &|s| s.masters.push(s.masters[0].clone()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut altered = good.clone();
        change(&mut altered);
        assert_eq!(altered.open(&[&one]), Err(Fault::Altered), "change {number}");
    }
    assert!(good.open(&[&one]).is_ok());
}

#[test]
fn what_is_no_keyring_is_said() {
    let random = counting();
    let one = master(1, Cipher::Aes256Gcm);
    let good = full(&random, &[&one]).seal(&random).unwrap().text().unwrap();
    for bad in [
        String::new(),
        "{}".to_owned(),
        good.replace("keyring 1", "keyring 2"),
        good.replace("\"generation\"", "\"more\""),
        good.replace("aes-256-gcm", "rot13"),
        " ".repeat(FILE_BYTES_MAX + 1),
    ] {
        assert!(matches!(Sealed::parse(&bad), Err(Fault::Form(_))), "{bad:.60}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read_and_never_opened(text in ".{0,200}") {
        let opened = Sealed::parse(&text).and_then(|s| s.open(&[&master(1, Cipher::Sm4Gcm)]));
        prop_assert!(opened.is_err());
    }

    #[test]
    fn a_digit_that_was_changed_is_found(at in any::<prop::sample::Index>(), digit in "[0-9a-f]") {
        let random = counting();
        let one = master(1, Cipher::Aes256Gcm);
        let ring = full(&random, &[&one]);
        let good = ring.seal(&random).unwrap().text().unwrap();
        let digits: Vec<usize> =
            good.match_indices(|c: char| c.is_ascii_hexdigit()).map(|(at, _)| at).collect();
        let at = digits[at.index(digits.len())];
        let mut altered = good.clone();
        altered.replace_range(at..=at, &digit);
        prop_assume!(altered != good);
        let opened = Sealed::parse(&altered).and_then(|sealed| sealed.open(&[&one]));
        prop_assert!(opened.is_err());
    }
}

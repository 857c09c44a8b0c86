//! A master key in a token (PKCS#11 2.40 or later): an AES key of 256 bits that was made there and cannot
//! be taken out. It wraps the key of the ring with `CKM_AES_GCM` inside the token; the node has the PIN
//! and never the key. A module is loaded once in a process and stays; a session lasts for one operation.
//!
//! A wrong PIN is tried once and never when the token says that one try is left: tokens lock, and a
//! service that is started again and again would see to it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::{AuthPin, Ulong};

use super::random;
use crate::config::HsmSection;
use crate::sharing::sealing::keyring::Master;
use crate::sharing::sealing::{Fault, KeyId, Random, Secret};

/// Bytes of the initialization vector in front of what is wrapped (NIST SP 800-38D, 8.2.2: of chance).
const IV_BYTES: usize = 12;
/// Bits of the tag behind it.
const TAG_BITS: u64 = 128;
/// Bytes of the key.
const KEY_BYTES: u64 = 32;
/// Bytes of a made key's `CKA_ID`: chance, by which two keys of one label are told apart.
const MADE_ID_BYTES: usize = 8;

/// What is said of a PIN that was tried too often.
const LOCKED: &str = "it is locked after wrong ones; unlock it with its maker's tool";

/// Modules of this process: `C_Initialize` may be called once for each.
static MODULES: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());

/// Why a token has no master key for us.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The module does not load.
    #[error("cannot load the PKCS#11 module {} (encryption.token.module)", path.display())]
    Module {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// A static program loads no modules.
    #[error(
        "this program is linked statically and loads no PKCS#11 module (encryption.token.module); \
         keep the key in a file or a systemd credential, or take the Debian package"
    )]
    Static,
    /// No token has the label.
    #[error("no token is called {label:?} (encryption.token.label); {there}")]
    Absent {
        /// The label.
        label: String,
        /// Which there are.
        there: String,
    },
    /// Several tokens have the label.
    #[error("{count} tokens are called {label:?} (encryption.token.label): take all but one away")]
    Several {
        /// The label.
        label: String,
        /// How many.
        count: usize,
    },
    /// The token does not take the PIN.
    #[error("the token {label:?} does not take the PIN of encryption.token.pin_file: {why}")]
    Pin {
        /// The token.
        label: String,
        /// What it says.
        why: &'static str,
    },
    /// There is no such key, or more than one.
    #[error(
        "the token {label:?} has {count} AES keys called {key:?} (encryption.token.key): {advice}"
    )]
    Key {
        /// The token.
        label: String,
        /// The key.
        key: String,
        /// How many.
        count: usize,
        /// What to do.
        advice: &'static str,
    },
    /// The key is not one that a master key should be.
    #[error(
        "the key {key:?} of the token {label:?} {why}: make one with `xiangyi admin keys make-token-key`"
    )]
    Unfit {
        /// The token.
        label: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token refuses.
    #[error("the token {label:?} refuses to {what}")]
    Refused {
        /// The token.
        label: String,
        /// What was asked.
        what: &'static str,
        /// What it says.
        #[source]
        source: Error,
    },
    /// There is no chance to be had.
    #[error("the system gives no random bytes")]
    Random,
}

/// A key in a token.
#[derive(Debug)]
pub struct TokenMaster {
    id: KeyId,
    section: HsmSection,
    pin: Secret,
}

impl TokenMaster {
    /// Looks for the key, and whether it is one that stays in the token.
    pub fn open(section: &HsmSection, pin: Secret) -> Result<Self, TokenError> {
        let id = {
            let session = session(section, &pin, false)?;
            let key = one(section, &session)?;
            fit(section, &session, key)?
        };
        Ok(Self { id, section: section.clone(), pin })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, Error>,
        altered: bool,
    ) -> Result<T, Fault> {
        let said = |error: &TokenError| Fault::Token(crate::app::chain(error));
        let session = session(&self.section, &self.pin, false).map_err(|error| said(&error))?;
        let key = one(&self.section, &session).map_err(|error| said(&error))?;
        work(&session, key).map_err(|error| {
            // Tokens do not agree how to say that a tag is wrong.
            let tag = matches!(
                error,
                Error::Pkcs11(
                    RvError::EncryptedDataInvalid
                        | RvError::EncryptedDataLenRange
                        | RvError::GeneralError
                        | RvError::FunctionFailed,
                    _,
                )
            );
            if altered && tag { Fault::Altered } else { Fault::Token(error.to_string()) }
        })
    }
}

/// Initialization vector, sealed secret and tag.
impl Master for TokenMaster {
    fn id(&self) -> KeyId {
        self.id
    }

    fn wrap(&self, secret: &[u8], random: Random<'_>) -> Result<Vec<u8>, Fault> {
        let mut iv = [0; IV_BYTES];
        random(&mut iv)?;
        let mut out = iv.to_vec();
        let sealed = self.with(
            |session, key| session.encrypt(&Mechanism::AesGcm(gcm(&mut iv)?), key, secret),
            false,
        )?;
        if out != iv {
            // Some tokens choose the vector themselves and write it there: then that is the one.
            out = iv.to_vec();
        }
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Secret, Fault> {
        let (iv, sealed) = wrapped.split_first_chunk::<IV_BYTES>().ok_or(Fault::Altered)?;
        let mut iv = *iv;
        let opened = self.with(
            |session, key| session.decrypt(&Mechanism::AesGcm(gcm(&mut iv)?), key, sealed),
            true,
        )?;
        Ok(Secret::new(opened))
    }
}

/// What `xiangyi admin keys make-token-key` made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Name of the master key.
    pub id: KeyId,
    /// What the token says of itself.
    pub token: String,
}

/// Makes the key in the token; refuses where there is one of that label.
pub fn make(section: &HsmSection, pin: &Secret) -> Result<Made, TokenError> {
    let session = session(section, pin, true)?;
    let there = find(section, &session)?.len();
    if there > 0 {
        return Err(TokenError::Key {
            label: section.label.clone(),
            key: section.key.clone(),
            count: there,
            advice: "it is left as it is; name another key to make a new one",
        });
    }
    let mut id = vec![0; MADE_ID_BYTES];
    random(&mut id).map_err(|_| TokenError::Random)?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(section.key.clone().into_bytes()),
        Attribute::Id(id),
        Attribute::ValueLen(Ulong::from(KEY_BYTES)),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let refused = refused(section, "make a key");
    let key = session.generate_key(&Mechanism::AesKeyGen, &template).map_err(refused)?;
    let id = fit(section, &session, key)?;
    Ok(Made { id, token: section.label.clone() })
}

fn gcm(iv: &mut [u8; IV_BYTES]) -> Result<GcmParams<'_>, Error> {
    GcmParams::new(iv, &[], Ulong::from(TAG_BITS))
}

fn refused<'a>(section: &'a HsmSection, what: &'static str) -> impl Fn(Error) -> TokenError + 'a {
    move |source| TokenError::Refused { label: section.label.clone(), what, source }
}

fn module(path: &Path) -> Result<Pkcs11, TokenError> {
    let failed = |source| TokenError::Module { path: path.to_owned(), source };
    // What a thread that panicked left is whole: modules are only added.
    let mut modules = MODULES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, module)) = modules.iter().find(|(known, _)| known == path) {
        return Ok(module.clone());
    }
    if cfg!(target_feature = "crt-static") {
        return Err(TokenError::Static);
    }
    let module = Pkcs11::new(path).map_err(failed)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // The same library by another path.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed(error)),
    }
    modules.push((path.to_owned(), module.clone()));
    Ok(module)
}

/// A session of the user with the token that the section names.
fn session(section: &HsmSection, pin: &Secret, write: bool) -> Result<Session, TokenError> {
    let module = module(&section.module)?;
    let (slot, info) = slot(section, &module)?;
    let wrong = |why| TokenError::Pin { label: section.label.clone(), why };
    if info.user_pin_locked() {
        return Err(wrong(LOCKED));
    }
    if info.user_pin_final_try() {
        return Err(wrong(
            "it was not tried, for the token locks after one more wrong one; log in once with its \
             maker's tool",
        ));
    }
    let open = refused(section, "open a session");
    let session = if write { module.open_rw_session(slot) } else { module.open_ro_session(slot) }
        .map_err(open)?;
    let text = std::str::from_utf8(pin.expose()).map_err(|_| wrong("it is no UTF-8"))?;
    let Err(error) = session.login(UserType::User, Some(&AuthPin::from(text))) else {
        return Ok(session);
    };
    let said = if let Error::Pkcs11(said, _) = &error { Some(*said) } else { None };
    match said {
        // By another session of this process.
        Some(RvError::UserAlreadyLoggedIn) => Ok(session),
        Some(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange) => {
            Err(wrong("it is wrong; the token locks after a few more tries"))
        }
        Some(RvError::PinLocked) => Err(wrong(LOCKED)),
        Some(RvError::PinExpired) => {
            Err(wrong("it has expired; set a new one with its maker's tool"))
        }
        _ => Err(refused(section, "log in")(error)),
    }
}

fn slot(section: &HsmSection, module: &Pkcs11) -> Result<(Slot, TokenInfo), TokenError> {
    let list = refused(section, "be listed");
    let mut found = Vec::new();
    let mut others = Vec::new();
    for slot in module.get_slots_with_token().map_err(&list)? {
        // A reader whose card is being taken out.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        if info.label().trim_end() == section.label.trim_end() {
            found.push((slot, info));
        } else {
            others.push(format!("{:?}", info.label().trim_end()));
        }
    }
    let label = section.label.clone();
    if found.len() > 1 {
        return Err(TokenError::Several { label, count: found.len() });
    }
    found.pop().ok_or_else(|| TokenError::Absent {
        label,
        there: if others.is_empty() {
            "the module shows none: is it plugged in and set up, and may this user use it?"
                .to_owned()
        } else {
            format!("there are {}", others.join(", "))
        },
    })
}

fn find(section: &HsmSection, session: &Session) -> Result<Vec<ObjectHandle>, TokenError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Label(section.key.clone().into_bytes()),
    ];
    session.find_objects(&template).map_err(refused(section, "look for a key"))
}

fn one(section: &HsmSection, session: &Session) -> Result<ObjectHandle, TokenError> {
    match find(section, session)?.as_slice() {
        [key] => Ok(*key),
        keys => Err(TokenError::Key {
            label: section.label.clone(),
            key: section.key.clone(),
            count: keys.len(),
            advice: if keys.is_empty() {
                "make it with `xiangyi admin keys make-token-key`, or put back the token it is in"
            } else {
                "give one of them another label"
            },
        }),
    }
}

/// Checks that the key cannot be taken out; answers its name, of its label and `CKA_ID`, which a copy in
/// another token of the same maker has too.
fn fit(section: &HsmSection, session: &Session, key: ObjectHandle) -> Result<KeyId, TokenError> {
    let wanted = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
        AttributeType::ValueLen,
        AttributeType::Id,
    ];
    let said = session.get_attributes(key, &wanted).map_err(refused(section, "describe a key"))?;
    let has = |attribute: Attribute| said.contains(&attribute);
    let unfit = |why| {
        Err(TokenError::Unfit { label: section.label.clone(), key: section.key.clone(), why })
    };
    if !has(Attribute::Sensitive(true)) || !has(Attribute::Extractable(false)) {
        return unfit("can be taken out of it (CKA_SENSITIVE, CKA_EXTRACTABLE)");
    }
    if !has(Attribute::ValueLen(Ulong::from(KEY_BYTES))) {
        return unfit("has not 256 bits");
    }
    if !has(Attribute::Encrypt(true)) || !has(Attribute::Decrypt(true)) {
        return unfit("may not encrypt and decrypt (CKA_ENCRYPT, CKA_DECRYPT)");
    }
    let id = said.iter().find_map(|attribute| {
        if let Attribute::Id(id) = attribute { Some(id.as_slice()) } else { None }
    });
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return unfit("has no CKA_ID, by which it would be known from another of its label");
    };
    let name = [b"pkcs11\0", section.key.as_bytes(), b"\0", id].concat();
    Ok(KeyId::of(&name))
}

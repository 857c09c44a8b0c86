//! Enums of terms that tables and messages name.

/// Declares an enum whose values have an id in tables and on the wire.
macro_rules! terms {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $id:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$value_doc])* #[serde(rename = $id)] $value,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// Its place in [`Self::ALL`].
            #[expect(clippy::as_conversions, reason = "numbers of an enum without fields")]
            pub const fn number(self) -> usize {
                self as usize
            }

            /// The id in tables and on the wire.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$value => $id,)*
                }
            }

            /// The one with this id; none if it is unknown.
            pub fn from_id(id: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.id() == id)
            }
        }
    };
}

pub(super) use terms;

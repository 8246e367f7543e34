//! Lists of names with the words that docs/starter-states.md has for them.

/// A list of names with the words the table has for them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        #[cfg(test)] // For the table's sake alone.
        impl $name {
            /// All of them, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The table's word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

pub(super) use words;

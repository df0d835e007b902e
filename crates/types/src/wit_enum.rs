//! Enums in the form that `wit-bindgen` 0.57 expects of a type that it did not generate.

/// Declares an enum with the constructor through which generated code lifts it: from the number of a case in the WIT.
macro_rules! wit_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident,
        $($(#[$case_meta:meta])* $case:ident,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $(#[$first_meta])* $first, $($(#[$case_meta])* $case,)+ }

        impl $name {
            /// Every case, in the order of the WIT.
            pub const ALL: &'static [Self] = &[Self::$first, $(Self::$case,)+];

            /// The runtime rejects a discriminant outside the enum before it is lifted, so the default is never used.
            #[doc(hidden)]
            #[must_use]
            pub fn _lift(case: u8) -> Self {
                Self::ALL.get(usize::from(case)).copied().unwrap_or(Self::$first)
            }
        }
    };
}

pub(crate) use wit_enum;

//! Packing of small states: a stream of bit fields, and enums that know their number.
//!
//! One description of a state serves both directions, so that packing and unpacking cannot disagree.

/// The widest packed state, in 64-bit words.
const WORDS: usize = 6;

/// A small state, packed or being packed.
///
/// One function, `System::layout`, serves both directions: it hands every field to [`Bits::field`], which
/// either stores it or overwrites it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bits {
    words: [u64; WORDS],
    at: u32,
    reading: bool,
}

impl Bits {
    /// An empty stream that is written to.
    pub(crate) fn writer() -> Self {
        Self { words: [0; WORDS], at: 0, reading: false }
    }

    /// A stream that is read from the start.
    pub(crate) fn reader(packed: &[u64]) -> Self {
        let mut words = [0; WORDS];
        words[..packed.len()].copy_from_slice(packed);
        Self { words, at: 0, reading: true }
    }

    /// The first words of what was written.
    pub(crate) fn words(&self, count: usize) -> &[u64] {
        &self.words[..count]
    }

    /// Passes one field of `width` bits.
    pub(crate) fn field(&mut self, value: &mut u8, width: u32) {
        let (word, shift) = ((self.at >> 6) as usize, self.at & 63);
        let spills = shift + width > 64;
        if self.reading {
            let mut bits = self.words[word] >> shift;
            if spills {
                bits |= self.words[word + 1] << (64 - shift);
            }
            *value = (bits & ((1 << width) - 1)) as u8;
        } else {
            assert!(u32::from(*value) >> width == 0, "{} does not fit into {width} bits", *value);
            self.words[word] |= u64::from(*value) << shift;
            if spills {
                self.words[word + 1] |= u64::from(*value) >> (64 - shift);
            }
        }
        self.at += width;
    }

    /// Passes a field that is a flag.
    pub(crate) fn flag(&mut self, value: &mut bool) {
        let mut bit = u8::from(*value);
        self.field(&mut bit, 1);
        *value = bit == 1;
    }

    /// Makes the next field start at bit `at`: room that a variant does not use stays zero.
    pub(crate) fn skip_to(&mut self, at: u32) {
        self.at = at;
    }

    /// The next bit's position.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }
}

/// An enum without data that can be passed to [`Bits`]; the first variant is the default.
macro_rules! coded {
    ($(#[$about:meta])* $name:ident, $width:literal bits { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Passes the variant's number.
            pub(crate) fn pass(&mut self, bits: &mut crate::bits::Bits) {
                let mut number = *self as u8;
                bits.field(&mut number, $width);
                *self = Self::ALL[usize::from(number)];
            }

            /// The variant's name.
            #[allow(dead_code, reason = "not every enum is shown")]
            pub(crate) fn name(self) -> &'static str {
                [$(stringify!($variant),)*][self as usize]
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }
    };
}
pub(crate) use coded;

//! What everything that has a channel open can say of it, taking part in it or not.

/// For types with a method `attachment`.
macro_rules! looks {
    ($($type:ident),+) => { $(
        impl $type {
            /// The channel's name, or its key in hexadecimal.
            pub fn name(&self) -> &str {
                &self.attachment().name
            }

            /// Which ring it has.
            pub fn kind(&self) -> crate::ring::Kind {
                self.attachment().header.kind
            }

            /// Messages that fit.
            pub fn capacity(&self) -> u64 {
                self.attachment().header.geometry.capacity()
            }

            /// Most bytes of a message.
            #[inline]
            pub fn message_size(&self) -> usize {
                self.attachment().header.geometry.message_size()
            }

            /// Messages in the channel now, those being written included.
            pub fn len(&self) -> u64 {
                let channel = self.attachment();
                crate::ring::occupancy(channel.mem(), channel.header.kind)
            }

            /// Is the channel empty now?
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Everything about the channel now.
            ///
            /// # Errors
            /// [`Error::Removed`](crate::Error::Removed), [`Error::Forked`](crate::Error::Forked).
            pub fn status(&self) -> crate::Result<crate::Status> {
                status::read(self.attachment())
            }
        }
    )+ };
}
pub(super) use looks;

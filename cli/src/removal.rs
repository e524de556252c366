//! A channel that goes when its maker is done with it.

use semring::Channel;

/// Removes a channel when it is dropped, whatever comes.
pub(crate) struct Removal(pub(crate) Channel);

impl Drop for Removal {
    fn drop(&mut self) {
        // Nothing can be done about an error here; that it is gone already is fine.
        let _ = self.0.clone().remove();
    }
}

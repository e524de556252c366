//! Local time. Where a clock is put back an hour comes twice: the first one comes first here, which chrono's own `Local` has
//! the other way round, so that whoever looks for the next time skips one of them.

use chrono::{FixedOffset, Local, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone};

#[derive(Clone, Copy, Debug)]
pub(super) struct Zone;

/// Whose offset is larger is the earlier one.
fn in_order(offset: MappedLocalTime<FixedOffset>) -> MappedLocalTime<FixedOffset> {
    match offset {
        MappedLocalTime::Ambiguous(one, other) if one.local_minus_utc() < other.local_minus_utc() => {
            MappedLocalTime::Ambiguous(other, one)
        }
        offset => offset,
    }
}

impl TimeZone for Zone {
    type Offset = FixedOffset;

    fn from_offset(_: &FixedOffset) -> Self {
        Zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<FixedOffset> {
        in_order(Local.offset_from_local_date(local))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
        in_order(Local.offset_from_local_datetime(local))
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> FixedOffset {
        Local.offset_from_utc_date(utc)
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        Local.offset_from_utc_datetime(utc)
    }
}

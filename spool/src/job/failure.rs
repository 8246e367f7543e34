//! The sections of a job record about failures and limits. Each is there only where it says something.

use super::options::Warning;
use dc_model::RestartOn;
use dc_model::codec::{DecodeError, Reader, Writer};

pub(super) const RESTART_ON: u16 = 0x20;
pub(super) const WARNING: u16 = 0x21;
pub(super) const LIMITS: u16 = 0x22;

pub(super) fn get_restart_on(r: &mut Reader<'_>) -> Result<RestartOn, DecodeError> {
    let restart_on = RestartOn::from_bits(r.u8()?).ok_or(DecodeError::Unknown("cause of a restart"))?;
    if restart_on == RestartOn::default() {
        return Err(DecodeError::Impossible("policy: the default is not written"));
    }
    Ok(restart_on)
}

pub(super) fn put_warning(w: &mut Writer, warning: Warning) {
    w.u8(warning.signal);
    w.u8(u8::from(warning.leaders_only));
    w.u64(warning.before_ms);
}

pub(super) fn get_warning(r: &mut Reader<'_>) -> Result<Warning, DecodeError> {
    let warning = Warning { signal: r.u8()?, leaders_only: r.bool()?, before_ms: r.u64()? };
    if warning.signal == 0 {
        return Err(DecodeError::Impossible("signal"));
    }
    Ok(warning)
}

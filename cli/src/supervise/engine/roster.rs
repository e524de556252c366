//! Which services there are: those of the configuration, and those that are still to end because they are in it no more.

use std::collections::HashSet;

use semring::Error;
use semring::heartbeat::{Keeper, Place};

use super::Engine;
use crate::supervise::clock::Now;
use crate::supervise::config::{self, Config, Service};
use crate::supervise::strays;
use crate::supervise::unit::Unit;

impl Engine {
    /// The services of a configuration, in their order. Those that are there already stay as they are. If there is no place
    /// for all that are new nothing changes.
    pub(super) fn define(&mut self, config: Config) -> Result<(), Error> {
        let known = |name: &str| self.units.iter().any(|unit| unit.service.name == name);
        let new = config.services.iter().filter(|service| !known(&service.name));
        let places: Vec<Place> =
            new.map(|service| place(&self.keeper, &service.name)).collect::<Result<_, _>>()?;
        let living = if places.is_empty() { HashSet::new() } else { strays::living(&self.board) };
        let (mut places, mut before) = (places.into_iter(), std::mem::take(&mut self.units));
        for service in config.services {
            match before.iter().position(|unit| unit.service.name == service.name) {
                Some(at) => {
                    let mut unit = before.remove(at);
                    unit.redefine(service);
                    self.units.push(unit);
                }
                None => {
                    let haunted = living.contains(&service.name);
                    self.units
                        .extend(places.next().map(|place| Unit::new(service, place, haunted, self.events)));
                }
            }
        }
        before.iter_mut().for_each(|unit| unit.removed = true);
        self.units.append(&mut before);
        Ok(())
    }

    /// Services that a predecessor kept and nobody defines any more: they end.
    pub(super) fn units_of_the_past(&mut self) -> Result<(), Error> {
        for name in self.keeper.kept()? {
            if self.units.iter().all(|unit| unit.service.name != name) {
                let place = place(&self.keeper, &name)?;
                let mut unit = Unit::new(Service::new(name, Vec::new()), place, false, self.events);
                unit.removed = true;
                self.units.push(unit);
            }
        }
        Ok(())
    }

    pub(super) fn forget_removed(&mut self) -> Result<(), Error> {
        let mut i = 0;
        while i < self.units.len() {
            let unit = &self.units[i];
            if unit.removed && !unit.has_processes() && !unit.place.is_alive()? {
                match self.keeper.release(&unit.place) {
                    // Somebody who is stopped has it: no reason to end the others. Another time.
                    Err(Error::LockBusy { .. }) => i += 1,
                    released => {
                        released?;
                        let mut unit = self.units.remove(i);
                        unit.close_pump();
                        self.events.service(&unit.service.name, "is no longer supervised");
                    }
                }
            } else {
                i += 1;
            }
        }
        Ok(())
    }

    pub(super) fn reload(&mut self) {
        let Some(file) = &self.file else {
            return self.events.own("SIGHUP: there is no configuration to read again");
        };
        // The time is for whoever has to tell one reload from another (sd_notify(3)).
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", Now::read().steady / 1_000));
        match config::read(file) {
            Ok(config) if config.board != self.board => {
                let (new, old) = (&config.board, &self.board);
                self.events.own(format_args!(
                    "the name cannot change from {old} to {new}: end this supervisor first"
                ));
            }
            Ok(config) => match self.define(config) {
                Ok(()) => self.events.own("the configuration was read again"),
                Err(error) => self.events.own(format_args!("{error}: the configuration stays as it was")),
            },
            Err(errors) => {
                errors.iter().for_each(|error| self.events.own(error));
                self.events.own("the configuration stays as it was");
            }
        }
        self.tell("READY=1");
    }
}

/// A kept place; again if its holder was just leaving.
fn place(keeper: &Keeper, name: &str) -> Result<Place, Error> {
    loop {
        match keeper.place(name) {
            Err(Error::Overtaken) => {}
            other => return other,
        }
    }
}

//! What was spent today and what is set aside, by everything that this process works on. A request
//! to a model leaves only when it was reserved here, so that investigations which run side by side
//! cannot pass a limit together.
//!
//! [`Book`] is pure; [`Ledger`] guards it and rebuilds it from the store when the process starts and
//! when the UTC day changes. The store counts what is committed; the book also knows what is about
//! to be.

use crate::domain::{Choice, DayBudget, InvestigationId, Reservation, Rung, Standing};
use crate::store::{Store, StoreError, Usage, UsageFilter, day_of};
use crate::telemetry;
use arc_swap::ArcSwap;
use jiff::{Timestamp, civil::Date};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The day's budget, and how it stands.
#[derive(Debug)]
pub struct Ledger {
    limits: ArcSwap<DayBudget>,
    book: Mutex<Book>,
}

/// Who begins, and which share of the day its route has.
#[derive(Debug, Clone, Copy)]
pub struct Beginner<'a> {
    /// The investigation.
    pub id: InvestigationId,
    /// Its route.
    pub route: &'a str,
    /// Investigations of that route that may use its model in a day.
    pub max_per_day: Option<u32>,
    /// Investigations that it may open over all.
    pub max_total: Option<u64>,
    /// It has not been counted on this or an earlier day.
    pub first: bool,
}

impl Ledger {
    /// An empty ledger; [`Self::today`] fills it.
    pub fn new(limits: DayBudget) -> Self {
        Self { limits: ArcSwap::from_pointee(limits), book: Mutex::default() }
    }

    /// What all investigations of a day may spend together.
    pub fn limits(&self) -> DayBudget {
        **self.limits.load()
    }

    /// Puts others in force: what is spent today counts against them.
    pub fn set_limits(&self, limits: DayBudget) {
        self.limits.store(Arc::new(limits));
        self.tell(&self.book());
    }

    /// Makes sure that the ledger is that of the UTC day of `now`.
    ///
    /// # Errors
    /// When the store does not answer; then nothing may be reserved.
    pub async fn today(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let day = day_of(now);
        if self.book().day == Some(day) {
            return Ok(());
        }
        let filter = UsageFilter { from: day, to: day, route: None, model: None };
        let (usage, begun) = (store.usage(&filter).await?, store.begun().await?);
        let mut book = self.book();
        // Whoever was faster has the same figures, and may have reserved since.
        if book.day != Some(day) {
            book.rebuild(day, &usage, begun);
            self.tell(&book);
        }
        Ok(())
    }

    /// Lets `choose` decide how much of the work is permitted, and counts the investigation.
    pub fn begin(&self, who: Beginner<'_>, choose: impl FnOnce(Standing) -> Choice) -> Choice {
        let mut book = self.book();
        let choice = choose(book.standing(&self.limits(), Some(&who)));
        if who.first {
            book.begin(who.id, who.route, choice.rung);
        }
        self.tell(&book);
        choice
    }

    /// Lets `decide` reserve within what is left, or not. No other request comes between the look
    /// and the reservation. `lost` says that an earlier request of the investigation was never
    /// settled: it is charged in full.
    pub fn reserve<T>(
        &self,
        id: InvestigationId,
        lost: bool,
        decide: impl FnOnce(Standing) -> (T, Option<Reservation>),
    ) -> T {
        let mut book = self.book();
        book.close(id, lost);
        let (answer, reservation) = decide(book.standing(&self.limits(), None));
        if let Some(reservation) = reservation {
            book.reserve(id, reservation);
        }
        self.tell(&book);
        answer
    }

    /// Puts what a request did cost in the place of its reservation.
    pub fn settle(&self, id: InvestigationId, tokens: u64, cost_usd: f64) {
        let mut book = self.book();
        book.settle(id, tokens, cost_usd);
        self.tell(&book);
    }

    /// The request of an investigation is over and nobody said what it did cost: all that was set
    /// aside when it may have been worked on (`charged`), otherwise nothing.
    pub fn close(&self, id: InvestigationId, charged: bool) {
        let mut book = self.book();
        book.close(id, charged);
        self.tell(&book);
    }

    /// US dollars that today's requests have cost or may still cost.
    pub fn committed_usd(&self) -> f64 {
        self.book().committed().1
    }

    /// Begins `day` with these figures.
    #[cfg(test)]
    pub(super) fn fill(&self, day: Date, usage: &Usage, begun: &[(&str, u64)]) {
        let begun = begun.iter().map(|(route, count)| ((*route).to_owned(), *count)).collect();
        self.book().rebuild(day, usage, begun);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, book: &Book) {
        let left = book.standing(&self.limits(), None);
        telemetry::budget_left(left.usd_left, left.tokens_left, left.investigations_left);
    }
}

/// One day's figures.
#[derive(Debug, Default)]
struct Book {
    /// `None` before anything was read from the store.
    day: Option<Date>,
    tokens: u64,
    usd: f64,
    /// Investigations that began.
    began: u32,
    /// Of those, the ones that may use a model, by route.
    with_model: BTreeMap<String, u32>,
    /// Investigations that began on each route, on this day or before.
    of_routes: BTreeMap<String, u64>,
    /// Those that this process has counted: a step may be done twice.
    counted: HashSet<InvestigationId>,
    /// Requests whose cost is not known yet. An investigation makes one at a time.
    reserved: BTreeMap<InvestigationId, Reservation>,
}

impl Book {
    /// Begins `day` with what the store knows of it, and what this process has reserved on it.
    fn rebuild(&mut self, day: Date, usage: &Usage, begun: BTreeMap<String, u64>) {
        let same_day = self.day == Some(day);
        let before = std::mem::take(self);
        self.day = Some(day);
        self.of_routes = begun;
        for row in &usage.rows {
            let f = &row.figures;
            self.tokens = self.tokens.saturating_add(f.tokens_in).saturating_add(f.tokens_out);
            self.usd += f.cost_usd;
            if row.model.is_none() {
                let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
                self.began = self.began.saturating_add(count(f.investigations));
                let of_route = self.with_model.entry(row.route.clone()).or_default();
                *of_route = of_route.saturating_add(count(f.with_model));
            }
        }
        self.reserved.extend(usage.open.iter().map(|open| (open.investigation, open.reserved)));
        if same_day {
            self.reserved.extend(before.reserved);
        }
    }

    fn committed(&self) -> (u64, f64) {
        let sum = |(tokens, usd): (u64, f64), r: &Reservation| (tokens.saturating_add(r.tokens()), usd + r.cost_usd);
        self.reserved.values().fold((self.tokens, self.usd), sum)
    }

    fn standing(&self, limits: &DayBudget, who: Option<&Beginner<'_>>) -> Standing {
        let (tokens, usd) = self.committed();
        let with_model = |route: &str| self.with_model.get(route).copied().unwrap_or(0);
        let of_route = |route: &str| self.of_routes.get(route).copied().unwrap_or(0);
        Standing {
            usd_limit: limits.cost_usd,
            usd_left: limits.cost_usd.map(|limit| limit - usd),
            tokens_left: limits.tokens.map(|limit| limit.saturating_sub(tokens)),
            investigations_left: limits.investigations.map(|limit| limit.saturating_sub(self.began)),
            route_left: who.and_then(|who| Some(who.max_per_day?.saturating_sub(with_model(who.route)))),
            route_total_left: who.and_then(|who| Some(who.max_total?.saturating_sub(of_route(who.route)))),
        }
    }

    fn begin(&mut self, id: InvestigationId, route: &str, rung: Rung) {
        // A notice looks into nothing.
        if rung >= Rung::Notice || !self.counted.insert(id) {
            return;
        }
        self.began = self.began.saturating_add(1);
        let of_route = self.of_routes.entry(route.to_owned()).or_default();
        *of_route = of_route.saturating_add(1);
        if rung <= Rung::Cheap {
            let of_route = self.with_model.entry(route.to_owned()).or_default();
            *of_route = of_route.saturating_add(1);
        }
    }

    fn reserve(&mut self, id: InvestigationId, reservation: Reservation) {
        self.reserved.insert(id, reservation);
    }

    /// What was reserved on another day is that day's, and the store's alone.
    fn settle(&mut self, id: InvestigationId, tokens: u64, usd: f64) {
        if self.reserved.remove(&id).is_some() {
            self.tokens = self.tokens.saturating_add(tokens);
            if usd.is_finite() && usd > 0.0 {
                self.usd += usd;
            }
        }
    }

    fn close(&mut self, id: InvestigationId, charged: bool) {
        if let Some(reserved) = self.reserved.get(&id).copied() {
            let (tokens, usd) = if charged { (reserved.tokens(), reserved.cost_usd) } else { (0, 0.0) };
            self.settle(id, tokens, usd);
        }
    }
}

#[cfg(test)]
mod tests;

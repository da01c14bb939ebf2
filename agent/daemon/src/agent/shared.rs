//! What the stages share.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use executor::PolicyInForce;
use series::Store;
use telemetry::{AttributeValue, MatchedLine};

use super::api::{DiskWatch, QueryFigures};
use super::arrivals::Arrivals;
use super::books::Books;
use super::circumstances::{ClockWatch, StopWatch, WorkWatch};
use super::collect::CollectBoard;
use super::firing::FiringBoard;
use super::ground::{Ground, reach_executor};
use super::groups::Groups;
use super::heartbeat::Heartbeats;
use super::incident_files::IncidentFiles;
use super::kill_switch::KillSwitch;
use super::logs::LogsBoard;
use super::mailbox::Mailbox;
use super::needs::{needs, say_shortfalls};
use super::node_exporter::NodePage;
use super::notify::Notify;
use super::orders::Orders;
use super::persist::{Kept, restore_series};
use super::phase::PhaseBoard;
use super::runs_in_hand::RunsInHand;
use super::textfile::TextfileTap;
use super::{SharedExecutor, Watcher};
use crate::config::{Collect, Config, find};
use crate::self_telemetry::Shares;
use crate::taps::{Taps, host_names};

/// Alerts that are told with the lines that log rules matched, in one answer or report: their lines are a megabyte at most.
/// Further ones are told without.
pub(crate) const MOST_WITH_LINES: usize = 100;

/// What the stages share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<ClockWatch>,
    pub(crate) work: Arc<WorkWatch>,
    /// Which units were told to stop.
    pub(crate) stops: Arc<StopWatch>,
    pub(crate) store: Arc<RwLock<Store>>,
    /// Samples of the host in the store.
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) books: Arc<Books>,
    pub(crate) executor: SharedExecutor,
    pub(crate) firing: Arc<FiringBoard>,
    pub(crate) collections: Arc<AtomicU64>,
    pub(crate) collecting: Arc<CollectBoard>,
    /// Collectors that a run wants to look now.
    pub(crate) wanted: Arc<Mailbox<BTreeSet<&'static str>>>,
    /// Locked before the store by whoever wants both.
    pub(crate) groups: Arc<Groups>,
    pub(crate) kept: Arc<Kept>,
    pub(crate) notify: Arc<Notify>,
    pub(crate) phase: Arc<PhaseBoard>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) own_shares: Arc<Shares>,
    pub(crate) runs: Arc<RunsInHand>,
    pub(crate) kill_switch: Arc<KillSwitch>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) disk: Arc<DiskWatch>,
    /// Connections and requests that the API turned away.
    pub(crate) turned_away: Arc<AtomicU64>,
    pub(crate) queries: Arc<QueryFigures>,
    pub(crate) taps: Arc<Taps>,
    pub(crate) watcher: Watcher,
    pub(crate) node_page: Arc<NodePage>,
    pub(crate) textfiles: Arc<TextfileTap>,
    /// How log sources fare.
    pub(crate) logs: Arc<LogsBoard>,
}

impl Shared {
    /// Takes of the configuration what the executor and the taps are to know. Returns the policy too, where the agent has
    /// the executor itself.
    pub(super) fn open(
        config: &mut Config,
        ground: &Ground,
        watcher: Watcher,
    ) -> anyhow::Result<(Self, Option<PolicyInForce>)> {
        let resource = &ground.resource;
        let host = name_of_host(resource);
        let taps =
            Taps::new(std::mem::take(&mut config.taps), host_names(&config.judgement.groups), resource);
        let budgets = Some(ground.state.path().join("budgets.json"));
        let (executor, policy) =
            reach_executor(config.executor.take(), config.repairs.policy.clone(), budgets)?;
        let options = std::mem::take(&mut config.notify);
        let pulse = ground.heartbeats.pulse("notify");
        let notify = Notify::start(options, ground.state.path(), resource, &ground.sender, pulse)?;
        notify.hold_back.put_in_force(&config.repairs.runbooks);
        let kill_switch = KillSwitch::of(ground.state.path());
        kill_switch.heed_policy(&config.repairs.policy.file);
        let shared = Self {
            clock: Arc::default(),
            work: Arc::default(),
            stops: Arc::default(),
            store: Arc::new(RwLock::new(Store::new(config.series))),
            arrivals: Arc::default(),
            books: Arc::new(Books::new(IncidentFiles::open(ground.state.path(), host)?)),
            executor,
            firing: Arc::default(),
            collections: Arc::default(),
            collecting: Arc::default(),
            wanted: Arc::default(),
            groups: Arc::default(),
            kept: Arc::default(),
            notify: Arc::new(notify),
            phase: Arc::default(),
            heartbeats: Arc::clone(&ground.heartbeats),
            own_shares: Arc::clone(&ground.telemetry.shares),
            runs: Arc::default(),
            orders: Arc::default(),
            kill_switch: Arc::new(kill_switch),
            disk: Arc::default(),
            turned_away: Arc::default(),
            queries: Arc::default(),
            taps: Arc::new(taps),
            watcher,
            textfiles: Arc::new(TextfileTap::new(resource)),
            node_page: Arc::new(NodePage::new(host.to_owned())),
            logs: Arc::default(),
        };
        shared.name_as_node_exporter(&config.collect);
        shared.restore_series(config, ground);
        Ok((shared, policy))
    }

    /// Has in the store what the agent before this one had. What rules need must be known before, or it would be too old.
    fn restore_series(&self, config: &Config, ground: &Ground) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.set_needs(&needs(config.judgement.groups.iter()));
        say_shortfalls(config.judgement.groups.iter(), config.series.max_retention);
        self.taps.admit(ground.listeners(), &mut store);
        TextfileTap::admit(&mut store);
        restore_series(ground.state.path(), &mut store, &self.kept);
        self.kept.write_series_every(config.snapshot_interval);
    }

    /// The last lines in which log rules found what the alert of this name is about, the oldest first.
    pub(crate) fn lines_of(&self, alert: &str) -> Vec<MatchedLine> {
        let reads = self.groups.reads();
        if !reads.has(alert) {
            return Vec::new();
        }
        self.taps.evidence(|rule| reads.reads(alert, rule))
    }

    /// From now on the metrics of `node_exporter`'s names are kept and served as the configuration says.
    pub(super) fn name_as_node_exporter(&self, collect: &Collect) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let scraped = self.node_page.put_in_force(&collect.node_exporter, &mut store);
        self.textfiles.put_in_force(collect.textfile.clone(), &scraped);
    }
}

fn name_of_host(resource: &[(String, AttributeValue)]) -> &str {
    find(resource, "host.name").unwrap_or("this host")
}

use super::*;
use crate::partition::split;
use dc_model::Domain;
use proptest::prelude::*;

fn tasks(cells: &[u64]) -> Vec<Subtask> {
    cells.iter().map(|cells| Subtask::plain(*cells, 1)).collect()
}

/// `rank cpus start-end` by subtask.
fn shown(plan: &Plan) -> Vec<String> {
    let show = |planned: &Option<Planned>| match planned {
        Some(p) => format!("{} {} {}-{}", p.rank, p.placement.cpus, p.start, p.end),
        None => "never".to_owned(),
    };
    plan.subtasks.iter().map(show).collect()
}

fn on(topology: &Topology, subtasks: &[Subtask], ranks: u32) -> Plan {
    plan(subtasks, ranks, topology, Bind::Core, 1).unwrap()
}

#[test]
fn lanes_pull_the_longest_first() {
    let plan = on(&Topology::uniform(2, 1, 2), &tasks(&[3, 9, 0, 5, 4]), 2);
    assert_eq!(shown(&plan), ["0 0 9-12", "0 0 0-9", "never", "1 1 0-5", "1 1 5-9"]);
    assert_eq!((plan.makespan, plan.units_a_cell, plan.makespan_cells()), (12, 1, 12));
    assert_eq!((plan.cells_total, plan.running, plan.ranks, plan.slots), (21, 4, 2, 2));
    assert_eq!((plan.cores_used, plan.cores), (2, 2));
    assert_eq!((plan.balance, plan.efficiency), (Ratio::of(36, 21), Ratio::of(21, 24)));
}

#[test]
fn with_a_lane_each_the_lane_is_the_subtask() {
    let plan = on(&Topology::uniform(2, 1, 2), &tasks(&[1, 0, 3, 2]), 4);
    assert_eq!(shown(&plan), ["0 1 2-3", "never", "2 0 0-3", "3 1 0-2"]);
    assert_eq!((plan.slots, plan.efficiency), (2, Ratio::ONE));
    let all_at_once = on(&Topology::uniform(8, 1, 8), &tasks(&[1, 0, 1, 1]), 4);
    assert_eq!((all_at_once.slots, all_at_once.cores_used), (3, 3));
    assert_eq!(all_at_once.efficiency, Ratio::ONE, "no core is taken for what never runs");
}

#[test]
fn idle_lanes_show() {
    let plan = on(&Topology::uniform(8, 1, 8), &tasks(&[5, 5]), 8);
    assert_eq!((plan.slots, plan.efficiency), (8, Ratio::of(1, 4)));
    // 64 equal ones on 48 cores are two rounds.
    let plan = on(&Topology::uniform(48, 8, 24), &tasks(&[100; 64]), 64);
    assert_eq!((plan.makespan, plan.slots, plan.efficiency), (200, 48, Ratio::of(64, 96)));
}

#[test]
fn several_cores_share_the_cells() {
    let machine = Topology::uniform(4, 2, 4);
    let equal: Vec<_> = (0..4).map(|_| Subtask::plain(1, 2)).collect();
    let plan = on(&machine, &equal, 4);
    assert_eq!((plan.units_a_cell, plan.makespan, plan.slots), (2, 2, 2));
    assert_eq!(plan.efficiency, Ratio::ONE);
    assert_eq!(plan.makespan_cells(), 1);
    // 12 cells on 4 cores are shorter than 7 on 2, which are shorter than 5 on 1.
    let mixed = [Subtask::plain(12, 4), Subtask::plain(7, 2), Subtask::plain(5, 1)];
    let plan = on(&machine, &mixed, 2);
    assert_eq!(plan.units_a_cell, 4);
    assert_eq!(shown(&plan), ["0 0-3 20-32", "1 2,3 0-14", "0 0 0-20"]);
    assert_eq!(plan.slots, 1, "beside the one on 4 cores there is room for none");
    assert_eq!(plan.efficiency, Ratio::of(24 * 4, 4 * 32));
}

#[test]
fn shared_cores_count_as_more() {
    let machine = Topology::uniform(2, 2, 2);
    let plan = plan(&tasks(&[6; 64]), 64, &machine, Bind::None, 32).unwrap();
    assert_eq!((plan.slots, plan.makespan, plan.cores_used), (64, 6, 2));
    assert_eq!(plan.efficiency, Ratio::ONE);
    assert!(plan.subtasks.iter().flatten().all(|p| p.placement.cpus.is_empty()));
}

#[test]
fn what_can_never_run_is_told() {
    let machine = Topology::uniform(2, 2, 2);
    let error = plan(&tasks(&[1]), 0, &machine, Bind::Core, 1).unwrap_err();
    assert_eq!(error.to_string(), "0 ranks can run nothing; at least 1 is needed");
    let mut subtasks = vec![Subtask::plain(0, 9), Subtask::plain(1, 1), Subtask::plain(1, 3)];
    let told = |subtasks: &[Subtask]| plan(subtasks, 3, &machine, Bind::Core, 9).unwrap_err().to_string();
    assert_eq!(told(&subtasks), "subtask 2 needs 3 cores, and only 2 may be used here");
    subtasks[2].name = Some("basin".into());
    assert_eq!(told(&subtasks), "subtask basin needs 3 cores, and only 2 may be used here");
}

#[test]
fn nothing_to_do_takes_no_time() {
    for subtasks in [vec![], tasks(&[0, 0])] {
        let plan = on(&Topology::uniform(2, 2, 2), &subtasks, 3);
        assert_eq!((plan.makespan, plan.running, plan.cores_used), (0, 0, 0));
        assert_eq!((plan.balance, plan.efficiency), (Ratio::ONE, Ratio::ONE));
    }
}

/// 512 tiles of the real mask on 64 lanes: equal rectangles, as a model without a partition has them.
#[test]
fn tiles_of_the_ocean_end_together() {
    let ocean = Domain::read(include_bytes!("../../../examples/ocean/sea-mask.pbm")).unwrap();
    let tiles: Vec<Subtask> = (0..512u32)
        .map(|i| (i % 32 * 45, i / 32 * 45))
        .map(|(x0, y0)| dc_model::Block { x0, y0, x1: x0 + 45, y1: y0 + 45 })
        .map(|block| Subtask { block: Some(block), ..Subtask::plain(ocean.effective_in(block), 1) })
        .collect();
    let plan = on(&Topology::uniform(64, 8, 32), &tiles, 64);
    assert!(plan.efficiency.ppm >= 980_000, "{plan:?}");
    assert_eq!(plan.cells_total, ocean.effective());
    // Blocks of equal cost do as well with one a lane.
    let pieces = split(&ocean, 64);
    let blocks: Vec<Subtask> = pieces.iter().map(|piece| Subtask::plain(piece.cells, 1)).collect();
    let plan = on(&Topology::uniform(64, 8, 32), &blocks, 64);
    assert!(plan.efficiency.ppm >= 990_000 && plan.balance.ppm <= 1_008_000);
}

proptest! {
    #[test]
    fn no_core_and_no_lane_is_taken_twice(
        needs in prop::collection::vec((0u64..50, 1u32..5), 0..30),
        ranks in 1u32..12,
        per_l3 in 1u32..4,
        ranks_per_core in 1u32..3,
    ) {
        let machine = Topology::uniform(4, per_l3, 2);
        let subtasks: Vec<_> = needs.iter().map(|(cells, cores)| Subtask::plain(*cells, *cores)).collect();
        let plan = plan(&subtasks, ranks, &machine, Bind::Core, ranks_per_core).unwrap();
        let running: Vec<(&Subtask, &Planned)> =
            subtasks.iter().zip(&plan.subtasks).filter_map(|(s, p)| Some((s, p.as_ref()?))).collect();
        prop_assert_eq!(running.len(), needs.iter().filter(|(cells, _)| *cells > 0).count());
        let mut starts_before = 0;
        let ids = order(subtasks.iter().map(|s| (s.cells, s.cores)));
        for planned in ids.iter().filter_map(|id| plan.subtasks[id.index()].as_ref()) {
            prop_assert!(planned.start >= starts_before, "nothing overtakes");
            starts_before = planned.start;
        }
        for (subtask, planned) in &running {
            let units = u128::from(subtask.cells) * u128::from(plan.units_a_cell);
            prop_assert_eq!((planned.end - planned.start) * u128::from(subtask.cores), units);
            prop_assert_eq!(planned.placement.cores.len(), subtask.cores as usize);
            let at_once: Vec<_> =
                running.iter().filter(|(_, p)| p.start <= planned.start && planned.start < p.end).collect();
            prop_assert_eq!(at_once.iter().filter(|(_, p)| p.rank == planned.rank).count(), 1);
            prop_assert!(at_once.len() <= ranks as usize);
            for core in &planned.placement.cores {
                let sharing = at_once.iter().filter(|(_, p)| p.placement.cores.contains(core)).count();
                prop_assert!(sharing <= ranks_per_core as usize);
            }
        }
        prop_assert_eq!(plan.makespan, running.iter().map(|(_, p)| p.end).max().unwrap_or(0));
    }
}

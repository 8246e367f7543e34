use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Domain {
    Domain::read(bytes).unwrap()
}

fn ocean() -> Domain {
    read(include_bytes!("../../../../examples/ocean/sea-mask.pbm"))
}

fn ocean_1deg() -> Domain {
    read(include_bytes!("../../../../examples/ocean/sea-mask-1deg.pbm"))
}

/// What must hold of every split, checked cell by cell.
fn check(domain: &Domain, parts: u32, pieces: &[Piece]) {
    let wanted = u64::from(parts.max(1)).min(domain.effective());
    assert_eq!(pieces.len() as u64, wanted, "as many blocks as asked for, or as there are cells");
    let mut owners = vec![0u32; domain.block().area() as usize];
    for piece in pieces {
        let Block { x0, y0, x1, y1 } = piece.block;
        assert!(x0 < x1 && y0 < y1 && x1 <= domain.nx() && y1 <= domain.ny(), "{piece:?}");
        let (mut cells, mut effective) = (0, 0);
        for (y, x) in (y0..y1).flat_map(|y| (x0..x1).map(move |x| (y, x))) {
            owners[(y * domain.nx() + x) as usize] += 1;
            cells += u64::from(domain.weight(x, y));
            effective += u64::from(domain.is_effective(x, y));
        }
        assert_eq!((piece.cells, piece.effective), (cells, effective), "{piece:?}");
        assert!(effective > 0, "{piece:?}");
        let column = |x: u32| (y0..y1).any(|y| domain.is_effective(x, y));
        let row = |y: u32| (x0..x1).any(|x| domain.is_effective(x, y));
        assert!(column(x0) && column(x1 - 1) && row(y0) && row(y1 - 1), "{piece:?} is not shrunk");
    }
    for y in 0..domain.ny() {
        for x in 0..domain.nx() {
            let owners = owners[(y * domain.nx() + x) as usize];
            assert!(owners <= 1, "cell {x}, {y} is in {owners} blocks");
            assert!(owners == 1 || !domain.is_effective(x, y), "cell {x}, {y} is in no block");
        }
    }
    assert!(pieces.is_sorted_by_key(|piece| (piece.block.y0, piece.block.x0)));
    assert_eq!(split(domain, parts), pieces, "the same every time");
}

/// The dearest block's cost over the mean, in millionths.
fn balance_ppm(domain: &Domain, pieces: &[Piece]) -> u64 {
    let most = pieces.iter().map(|piece| piece.cells).max().unwrap();
    (u128::from(most) * pieces.len() as u128 * 1_000_000 / u128::from(domain.cost())) as u64
}

fn aspect(piece: &Piece) -> u32 {
    let (width, height) = (piece.block.width(), piece.block.height());
    width.max(height).div_ceil(width.min(height))
}

#[test]
fn the_ocean_is_split_evenly_into_moderate_shapes() {
    let domain = ocean();
    for (parts, balance_ppm_max) in [(64, 1_005_000), (256, 1_010_000), (512, 1_015_000)] {
        let pieces = split(&domain, parts);
        check(&domain, parts, &pieces);
        let balance = balance_ppm(&domain, &pieces);
        assert!(balance <= balance_ppm_max, "{parts} blocks: {balance}");
        assert!(pieces.iter().all(|piece| aspect(piece) <= 3), "{parts} blocks");
    }
}

#[test]
fn any_number_of_blocks_will_do() {
    let domain = ocean_1deg();
    for parts in [1, 2, 3, 5, 7, 11, 48, 63, 65] {
        let pieces = split(&domain, parts);
        check(&domain, parts, &pieces);
        assert!(balance_ppm(&domain, &pieces) <= 1_020_000, "{parts} blocks");
    }
    assert_eq!(split(&domain, 0), split(&domain, 1));
}

#[test]
fn odd_masks_are_split_too() {
    let masks = [
        Domain::from_mask(1, 1, |_, _| true),
        Domain::from_mask(1, 97, |_, _| true),
        Domain::from_mask(97, 1, |x, _| x % 3 != 1),
        Domain::from_mask(40, 30, |x, y| (x, y) == (17, 29)),
        Domain::from_mask(24, 24, |x, y| (x + y) % 2 == 0),
        Domain::from_mask(50, 50, |x, y| x == y),
        Domain::from_mask(64, 64, |x, y| x + y == 63),
        Domain::from_mask(30, 30, |x, y| x == 0 || y == 29),
        Domain::from_mask(30, 30, |x, y| (x == 0 || x == 29) && (y == 0 || y == 29)),
    ];
    for domain in masks.map(Result::unwrap) {
        for parts in [1, 2, 3, 4, 7, 50, 100, 5000] {
            check(&domain, parts, &split(&domain, parts));
        }
    }
}

#[test]
fn a_heavy_cell_is_set_apart() {
    let mut weights = vec![1u16; 64];
    weights[27] = 1000;
    let domain = Domain::from_weights(8, 8, weights).unwrap();
    let pieces = split(&domain, 6);
    check(&domain, 6, &pieces);
    assert_eq!(pieces.iter().map(|piece| piece.cells).max(), Some(1000));
    let pieces = split(&domain, 64);
    check(&domain, 64, &pieces);
}

#[test]
fn blocks_are_chosen_in_whole_rounds() {
    let domain = ocean_1deg();
    let splitter = Splitter::new(&domain);
    let few = splitter.choose_parts(2);
    assert_eq!((few.parts, few.slots, few.is_good()), (2, 2, true));
    assert_eq!(splitter.better_parts(&few), None);
    // 64 equal blocks on 48 slots are two rounds.
    let given = splitter.predict(64, 48);
    assert!(!given.is_good());
    let better = splitter.better_parts(&given).unwrap();
    assert_eq!((better.parts, better.is_good()), (48, true));
    assert!(better.makespan < given.makespan);
    // One block a slot is too coarse here, several make up for it.
    let coarse = splitter.predict(400, 400);
    let chosen = splitter.choose_parts(400);
    assert!(!coarse.is_good() && chosen.is_good(), "{coarse:?} {chosen:?}");
    assert_eq!(chosen.parts % 400, 0);
}

#[test]
fn too_few_cells_for_the_slots_give_the_best_there_is() {
    let domain = Domain::from_mask(5, 1, |_, _| true).unwrap();
    let chosen = choose_parts(&domain, 3);
    assert_eq!((chosen.makespan, chosen.is_good()), (2, false));
    let chosen = choose_parts(&domain, 1000);
    assert_eq!((chosen.parts, chosen.makespan, chosen.is_good()), (5, 1, false));
    assert_eq!(choose_parts(&domain, 0).parts, 1);
    assert_eq!(choose_parts(&domain, u32::MAX).parts, 5);
}

fn domains() -> impl Strategy<Value = Domain> {
    (1u32..40, 1u32..40, 0u32..4, any::<bool>()).prop_flat_map(|(nx, ny, land, is_mask)| {
        let weight = match land {
            0 => Just(1u16).boxed(),
            1 => prop_oneof![1 => Just(0u16), 3 => 1u16..9].boxed(),
            2 => prop_oneof![9 => Just(0u16), 1 => any::<u16>()].boxed(),
            _ => prop_oneof![40 => Just(0u16), 1 => Just(7u16)].boxed(),
        };
        let weights = prop::collection::vec(weight, (nx * ny) as usize);
        weights.prop_filter_map("an empty domain", move |weights| {
            let field = Domain::from_weights(nx, ny, weights).ok()?;
            match is_mask {
                true => Domain::from_mask(nx, ny, |x, y| field.is_effective(x, y)).ok(),
                false => Some(field),
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_effective_cell_is_in_exactly_one_block(domain in domains(), parts in 0u32..60) {
        check(&domain, parts, &split(&domain, parts));
    }
}

proptest! {
    // Up to 17 splits a case.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_chosen_is_what_is_split(domain in domains(), slots in 1u32..9) {
        let choice = choose_parts(&domain, slots);
        let pieces = split(&domain, choice.parts);
        prop_assert_eq!(pieces.len(), choice.parts as usize);
        prop_assert!(u128::from(choice.makespan) * u128::from(slots) >= u128::from(domain.cost()));
        let one_round = Splitter::new(&domain).predict(slots, slots);
        prop_assert!(choice.makespan <= one_round.makespan);
    }
}

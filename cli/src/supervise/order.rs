//! In which order services start: each after those that it names. Pure.

/// Indices in an order in which nobody comes before what it is after; or a circle, its first index repeated at the end.
/// Of those that are free the first comes first.
pub(crate) fn order(after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut placed = vec![false; after.len()];
    let mut order = Vec::with_capacity(after.len());
    while order.len() < after.len() {
        let free = |&i: &usize| !placed[i] && after[i].iter().all(|&before| placed[before]);
        let Some(next) = (0..after.len()).find(free) else { return Err(circle(after, &placed)) };
        placed[next] = true;
        order.push(next);
    }
    Ok(order)
}

/// Whoever was not placed waits for another that was not: following these leads into a circle.
fn circle(after: &[Vec<usize>], placed: &[bool]) -> Vec<usize> {
    let mut path: Vec<usize> = placed.iter().position(|placed| !placed).into_iter().collect();
    while let Some(next) = path.last().and_then(|&i| after[i].iter().copied().find(|&i| !placed[i])) {
        let seen = path.iter().position(|&i| i == next);
        path.push(next);
        if let Some(start) = seen {
            return path.split_off(start);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_comes_first() {
        assert_eq!(order(&[vec![], vec![], vec![]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![2], vec![0], vec![]]), Ok(vec![2, 0, 1]));
        assert_eq!(order(&[vec![1, 3], vec![3], vec![], vec![2]]), Ok(vec![2, 3, 1, 0]));
    }

    #[test]
    fn circles_are_named() {
        assert_eq!(order(&[vec![0]]), Err(vec![0, 0]));
        assert_eq!(order(&[vec![], vec![2, 0], vec![3], vec![1]]), Err(vec![1, 2, 3, 1]));
        assert_eq!(order(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2, 1]), "what leads into it is left out");
    }
}

"""The pool against a plain list, and what goes in and out in training and in evaluation."""
import torch

from weaklib.models import Pool


def stream(pool, n, batch=5):
    """Put 0, 1, 2, ... in, a batch at a time, and return what comes out."""
    torch.manual_seed(0)
    return [x for k in range(0, n, batch) for x in pool(torch.arange(k, k + batch).float()[:, None])[:, 0].tolist()]


def test_the_pool_against_a_list():
    pool, plain, want = Pool(8, (1,)), [], []
    got = stream(pool, 200)
    torch.manual_seed(0)
    for k in range(0, 200, 5):
        kept, places = torch.rand(5) < 0.5, torch.randint(8, (5,))
        for x, keep, place in zip(range(k, k + 5), kept, places):
            if len(plain) < 8:
                plain.append(x)
            elif keep:
                x, plain[place] = plain[place], x
            want.append(x)
    assert got == want and pool.items[:, 0].tolist() == plain


def test_it_fills_first_and_then_half_of_what_comes_out_is_old_and_nothing_comes_out_twice():
    pool = Pool(50, (1,))
    out = stream(pool, 2000)
    assert out[:50] == list(range(50))
    old = [x != k for k, x in enumerate(out[50:], 50)]
    assert 0.46 < sum(old) / len(old) < 0.54
    assert len(set(out) | set(pool.items[:, 0].tolist())) == 2000
    assert max(k - x for k, x in enumerate(out)) > 100  # some are much older than the pool is large


def test_what_it_keeps_is_its_own_and_has_no_gradient():
    pool, new = Pool(4, (2,)), torch.ones(4, 2, requires_grad=True)
    out = pool(new)
    assert not out.requires_grad
    out.zero_()
    with torch.no_grad():
        new.zero_()
    assert pool.items.eq(1).all()


def test_in_evaluation_it_lets_everything_through():
    pool, new = Pool(4, (2,)).eval(), torch.ones(3, 2)
    assert pool(new) is new and pool.filled == 0


def test_its_state_is_in_its_buffers():
    pool, other = Pool(8, (1,)), Pool(8, (1,))
    stream(pool, 40)
    other.load_state_dict(pool.state_dict())
    assert stream(pool, 100) == stream(other, 100)

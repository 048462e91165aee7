import pytest
import torch

from lowdose.training.losses import huber, mse, poisson, rmse

ONE = torch.ones(1, 1, 1, 1)


def images(*values):
    return torch.tensor(values)[:, None, None, None] * torch.ones(1, 1, 4, 4)


def test_the_loss_of_ede_is_what_the_paper_says():
    # m = 4e-4 and 0.09: 1000 m = 0.4 below one, sqrt(1000 m) = 9.4868 above.
    found = huber(images(0.02, 0.3), images(0.0, 0.0), ONE, ONE)
    assert float(found) == pytest.approx((0.4 + 90.0**0.5) / 2, rel=1e-5)


def test_the_loss_of_ede_is_continuous_and_has_a_gradient_at_zero():
    below, above = (
        huber(images(v**0.5), images(0.0), ONE, ONE) for v in (0.999e-3, 1.001e-3)
    )
    assert float(below) == pytest.approx(float(above), rel=2e-3)
    perfect = images(0.0).requires_grad_()
    huber(perfect, images(0.0), ONE, ONE).backward()
    assert torch.equal(perfect.grad, torch.zeros_like(perfect))


def test_the_root_is_taken_of_each_image():
    found = rmse(images(1.0, 3.0), images(0.0, 0.0), ONE, ONE)
    assert float(found) == pytest.approx(2.0, rel=1e-4)


def test_only_what_is_asked_for_counts():
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., 0, 0] = 16
    output = torch.zeros(1, 1, 4, 4)
    output[..., 0, 0], output[..., 1, 1] = 2, 100
    assert float(mse(output, torch.zeros(1, 1, 4, 4), weight, ONE)) == 4


def test_the_gradient_is_that_of_the_poisson_deviance():
    generator = torch.Generator().manual_seed(0)
    mean = 4.0
    sigma = mean**0.5
    counts = torch.poisson(torch.full((1, 1, 8, 8), mean), generator)
    rate = (mean + torch.randn(1, 1, 8, 8, generator=generator)).requires_grad_()
    deviance = (rate - counts * rate.log()).mean() * 2
    (expected,) = torch.autograd.grad(deviance, rate)
    z = ((rate - mean) / sigma).detach().requires_grad_()
    target, growth = (counts - mean) / sigma, torch.full((1, 1, 1, 1), 1 / sigma)
    (found,) = torch.autograd.grad(poisson(z, target, ONE, growth), z)
    torch.testing.assert_close(found / sigma, expected)


def test_a_rate_below_zero_is_driven_up_and_not_lost():
    z = torch.full((1, 1, 2, 2), -5.0, requires_grad=True)
    poisson(z, torch.zeros(1, 1, 2, 2), ONE, ONE).backward()
    assert bool((z.grad < 0).all())

"""The small image-text model: that it learns, and that its maps say where."""
import torch
import torch.nn.functional as F

from weaklib.models import Sight

TEXTS = F.normalize(torch.eye(3, 384), dim=1)  # of squares in three colours


def squares(colours, generator):
    """Pictures (batch, 3, 48, 48): a square of 12 pixels somewhere on grey noise."""
    pictures = 0.4 + 0.2 * torch.rand(len(colours), 3, 48, 48, generator=generator)
    for picture, colour in zip(pictures, colours):
        y, x = torch.randint(36, (2,), generator=generator).tolist()
        picture[:, y:y + 12, x:x + 12] = torch.eye(3)[colour][:, None, None]
    return pictures


def test_it_recognises_what_it_has_learned():
    torch.manual_seed(0)
    model, generator = Sight(n_channels=8), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        seen, read = model(squares([0, 1, 2] * 4, generator), TEXTS)
        loss = F.cross_entropy(model.scale * seen @ read.T, torch.arange(3).repeat(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seen = model.eval().see(squares([2, 1, 0] * 8, generator))
    assert (seen @ model.read(TEXTS).T).argmax(1).tolist() == [2, 1, 0] * 8
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(24))


def test_maps_say_where():
    torch.manual_seed(0)
    model, grey = Sight(), torch.full((1, 3, 48, 48), 0.5)
    picture = grey.clone()
    picture[:, :, 8:16, 32:40] = torch.rand(3, 8, 8)
    maps = model.maps(picture)
    assert maps.shape == (1, 32, 6, 6)
    change = (maps - model.maps(grey)).square().sum(1)[0]
    assert divmod(int(change.argmax()), 6) == (1, 4)
    assert torch.equal(model.features(picture), maps.flatten(2).max(2).values)


def test_number_of_parameters():
    model = Sight()
    assert sum(x.numel() for part in (model.layers, model.head) for x in part.parameters()) == 62_528

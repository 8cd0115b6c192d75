import pytest

from medseg.errors import InputError, InputErrors
from medseg.recipe import Component, load_text


def problems(text, **options):
    with pytest.raises(InputErrors) as caught:
        load_text(text, **options)
    return [str(problem).removeprefix("recipe.yaml:1: ") for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "network: monai.SegResNet",
        "network: {name: monai.DynUNet, deep_supervision: true}",
        "network: {name: monai.SwinUNETR, feature_size: 24}",
        "network: monai.UNETR",
        "network: monai.AttentionUnet",
        "network: {name: monai.BasicUNet, features: [8, 8, 16, 16, 32, 8]}",
        "loss: {name: monai.DiceFocalLoss, gamma: 3, softmax: false}",
        "loss: {name: dice_ce, class_weights: [1, 2]}",
        "optimizer: {name: sgd, lr: 0.01, momentum: 0.99, nesterov: true}",
        "optimizer: {name: torch.RMSprop, lr: 1.0e-3}",
        "optimizer: {name: adamw, lr: 1e-3, betas: [0.9, 0.95]}",
        "schedule: {name: poly, power: 1}",
        "logger: [csv, {name: wandb, project: x, log_images: false}]",
        "logger: none",
        "logger: [none]",
        "augmentation: none",
        "augmentation: []",
        "augmentation: [affine, {name: torchio.RandomBiasField, p: 0.2, coefficients: [0.1, 0.3]}]",
        "augmentation: [{name: monai.RandFlipd, prob: 1, spatial_axis: 0}]",
        "augmentation: [{name: monai.RandFlipd, keys: [image, label]}]",
    ],
)
def test_good_components_are_accepted(text):
    load_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: unt", "network: there is no network 'unt'; did you mean unet?"),
        ("network: UNet", "network: there is no network 'UNet'; did you mean unet?"),
        (
            "network: {name: monai.SegResnet}",
            "network.name: there is no network 'monai.SegResnet'; did you mean monai.SegResNet?",
        ),
        ("network: SwinUNETR", "network: there is no network 'SwinUNETR'; did you mean swin_un"),
        ("network: zzzz", "network: there is no network 'zzzz'; there are unet, residual_unet,"),
        (
            "network: {name: unet, in_channels: 4}",
            "network.in_channels: comes from the data (data.channels and data.labels)",
        ),
        (
            "network: {name: unet, patch_size: [1, 2, 3]}",
            "network.patch_size: comes from the data; to change it set plan.patch_size",
        ),
        (
            "network: {name: monai.UNETR, img_size: 96}",
            "network.img_size: comes from the data; to change it set plan.patch_size",
        ),
        (
            "network: {name: monai.DynUNet, kernel_size: 3}",
            "network.kernel_size: comes from the data; to change it set plan.kernels",
        ),
        (
            "network: {name: monai.AttentionUnet, strides: [2]}",
            "network.strides: comes from the data; to change it set plan.strides",
        ),
        (
            "network: {name: unet, features: [8, 16]}",
            "network.features: comes from the data; to change it set plan.features",
        ),
        ("optimizer: {name: adamw, params: []}", "optimizer.params: is set by medseg"),
        (
            "optimizer: {name: adamw, lr: '1e-3'}",
            "optimizer.lr: expected a number, found the text '1e-3'",
        ),
        ("optimizer: {name: adamw, fused: 1}", "optimizer.fused: expected true or false or null"),
        (
            "optimizer: {name: adamw, betas: 0.9}",
            "optimizer.betas: expected a list of numbers, found 0.9",
        ),
        ("loss: {name: dice, batch: 1}", "loss.batch: expected true or false or null, found 1"),
        ("loss: {name: dice, smooth: true}", "loss.smooth: expected a number, found true"),
        ("loss: {name: dice, smooth: [1]}", "loss.smooth: expected a number, found a list"),
        ("loss: monai.DiceLos", "loss: there is no loss 'monai.DiceLos'; did you mean monai.DiceL"),
        (
            "augmentation: [{name: torchio.RandomBiasField, prob: 1}]",
            "augmentation.0.prob: torchio.RandomBiasField has no such argument",
        ),
        (
            "augmentation: [{name: monai.RandScaleIntensityd}]",
            "augmentation.0: monai.RandScaleIntensityd needs factors",
        ),
        ("augmentation: [monai.LoadImaged]", "augmentation.0: there is no transform"),
        ("augmentation: [{p: 0.2}]", "augmentation.0: expected a name, or a mapping with a name"),
        ("logger: wandbb", "logger: there is no logger 'wandbb'; did you mean wandb?"),
        ("logger: {name: wandb, projct: x}", "logger.projct: wandb has no such argument"),
        ("schedule: {name: cosine, warmup: fast}", "schedule.warmup: expected a number"),
        ("network: my_package.Net", "network: there is no network 'my_package.Net'; there are"),
        ("network: 'my_package:'", "network: your own network is written package.module:Class"),
    ],
)
def test_mistaken_component_is_explained(text, message):
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(message)


def test_transform_that_would_move_the_image_alone_points_to_the_safe_one():
    assert problems("augmentation: [monai.RandAffine]")[0].endswith(
        "did you mean monai.RandAffined?"
    )


def test_own_class_needs_its_package_trusted():
    text = "loss: {name: my_package.losses:Mine, weight: 2}"
    (message,) = problems(text, trust=())
    assert message.startswith("loss: my_package.losses:Mine is code of the package my_package")
    assert "--trust my_package" in message
    assert problems(text, trust=("my_package_2",))
    component = load_text(text, trust=("my_package",)).loss
    assert component == Component(
        "my_package.losses:Mine", {"weight": 2}, "user", "my_package.losses:Mine"
    )


def test_trust_cannot_come_from_a_recipe():
    assert "there is no such key" in problems("trust: [my_package]\nloss: my_package:L")[0]


def test_component_tells_its_home_and_path():
    recipe = load_text(
        "network: monai.SegResNet\noptimizer: sgd\naugmentation: [torchio.RandomBlur]"
    )
    assert (recipe.network.home, recipe.network.path) == ("monai", "monai.networks.nets:SegResNet")
    assert (recipe.optimizer.home, recipe.optimizer.path) == ("torch", "torch.optim:SGD")
    assert recipe.augmentation[0].home == "torchio"
    assert (recipe.loss.home, recipe.loss.path) == ("medseg", "medseg.losses:DiceCELoss")


def test_arguments_that_equal_the_default_are_left_to_the_signature():
    explicit = load_text("loss: {name: dice_ce, smooth: 1.0e-5, ce_weight: 1}")
    assert explicit.loss.arguments == {}
    assert explicit == load_text("loss: dice_ce")


def test_what_is_filled_in_later_is_kept_even_if_it_equals_the_default():
    recipe = load_text("loss: {name: monai.DiceLoss, softmax: false}")
    assert recipe.loss.arguments == {"softmax": False}
    assert "sigmoid" not in recipe.loss.defaults


def test_components_import_only_when_asked():
    import textwrap

    component = Component("x", home="medseg", path="textwrap:dedent")
    assert component.resolve() is textwrap.dedent
    own = Component("textwrap:dedent", path="textwrap:dedent")
    assert own.resolve(trust=("textwrap",)) is textwrap.dedent
    with pytest.raises(InputError, match="not trusted"):
        own.resolve()
    with pytest.raises(InputError, match="cannot be imported"):
        Component("no_such.pkg:X", path="no_such.pkg:X").resolve(trust=("no_such",))

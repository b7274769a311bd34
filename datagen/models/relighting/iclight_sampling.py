"""IC-Light's sampling: one loop over diffusers' scheduler, the conditions beside the noise.

    x_in = [x_t | foreground | background]      channels; conditions are latents and never scaled by sigma
    eps  = eps(x_in, negative) + guidance (eps(x_in, prompt) - eps(x_in, negative))

Both evaluations see the same conditions: guidance is on the text alone. Each sample draws its noise from its
own generator, on the CPU, so that it depends on neither its batch's company nor the device.
"""

from collections.abc import Sequence

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor


def stochastic_solver(beta_schedule: str) -> DPMSolverMultistepScheduler:
    """DPM-Solver++ for the SDE, second order, Karras noise levels, as IC-Light's demonstrations set it up."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule=beta_schedule,
        algorithm_type="sde-dpmsolver++",
        use_karras_sigmas=True,
        steps_offset=1,
    )


def from_noise(
    unet: UNet2DConditionModel,
    scheduler: DPMSolverMultistepScheduler,
    conditions: Tensor,
    text: Tensor,
    *,
    channels: int,
    steps: int,
    guidance: float,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Latents (B, channels, h, w) from pure noise. conditions: (B, C, h, w); text: (2, T, D)."""
    scheduler.set_timesteps(steps, device=conditions.device)
    shape = (len(generators), channels, *conditions.shape[2:])
    noise = randn_tensor(shape, list(generators), conditions.device, torch.float32)
    latents = noise * scheduler.init_noise_sigma
    return _denoise(unet, scheduler, latents, 0, conditions, text, guidance, generators)


def from_image(
    unet: UNet2DConditionModel,
    scheduler: DPMSolverMultistepScheduler,
    latents: Tensor,
    conditions: Tensor,
    text: Tensor,
    *,
    strength: float,
    steps: int,
    guidance: float,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Latents after noising `latents` to `strength` of the schedule and denoising them in `steps` steps.

    The schedule has round(steps / strength) steps, of which the last int(that * strength) are taken.
    """
    nominal = round(steps / strength)
    scheduler.set_timesteps(nominal, device=conditions.device)
    start = nominal - max(1, min(int(nominal * strength), nominal))
    noise = randn_tensor(latents.shape, list(generators), latents.device, latents.dtype)
    first = scheduler.timesteps[start : start + 1].repeat(len(latents))
    # `add_noise` looks the level up by index, which is exact where Karras levels share a rounded timestep.
    scheduler.set_begin_index(start)
    latents = scheduler.add_noise(latents, noise, first)
    return _denoise(unet, scheduler, latents, start, conditions, text, guidance, generators)


@torch.no_grad()
def _denoise(
    unet: UNet2DConditionModel,
    scheduler: DPMSolverMultistepScheduler,
    latents: Tensor,
    start: int,
    conditions: Tensor,
    text: Tensor,
    guidance: float,
    generators: Sequence[torch.Generator],
) -> Tensor:
    scheduler.set_begin_index(start)
    both_conditions = torch.cat([conditions] * 2).to(unet.dtype)
    both_texts = text.repeat_interleave(len(latents), dim=0)
    for timestep in scheduler.timesteps[start:]:
        scaled = scheduler.scale_model_input(torch.cat([latents] * 2), timestep)
        # The layout picks the kernels, and they the last bits: one layout, wherever tensors come from.
        seen = torch.cat([scaled.to(unet.dtype), both_conditions], dim=1).contiguous()
        negative, positive = unet(seen, timestep, encoder_hidden_states=both_texts).sample.float().chunk(2)
        predicted = negative + guidance * (positive - negative)
        latents = scheduler.step(predicted, timestep, latents, generator=list(generators)).prev_sample
    return latents

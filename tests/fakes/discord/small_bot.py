"""The smallest bot that uses everything: what the fake is tested with."""

from io import BytesIO

import discord
from discord import app_commands, ui


class Picture(ui.Modal, title="Pictures"):
    """A form with each thing that a form may ask."""

    name: ui.Label["Picture"] = ui.Label(text="Name", component=ui.TextInput(custom_id="name", max_length=20))
    kind: ui.Label["Picture"] = ui.Label(
        text="Kind",
        component=ui.Select(
            custom_id="kind",
            options=[
                discord.SelectOption(label="Style", value="style", default=True),
                discord.SelectOption(label="Face"),
            ],
        ),
    )
    files: ui.Label["Picture"] = ui.Label(
        text="Files", component=ui.FileUpload(custom_id="files", min_values=1, max_values=10)
    )
    yes: ui.Label["Picture"] = ui.Label(text="They are mine", component=ui.Checkbox(custom_id="yes"))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        name, kind = self.name.component, self.kind.component
        files, yes = self.files.component, self.yes.component
        assert isinstance(name, ui.TextInput) and isinstance(kind, ui.Select)
        assert isinstance(files, ui.FileUpload) and isinstance(yes, ui.Checkbox)
        sizes = [len(await file.read()) for file in files.values]
        await interaction.response.send_message(
            f"{name.value} {kind.values} {sizes} {yes.value}", ephemeral=True
        )


class Small(discord.AutoShardedClient):
    """A bot with one of each: command, autocomplete, button, form, menu, reaction."""

    def __init__(self) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.reactions = True
        super().__init__(intents=intents, guild_ready_timeout=0.1)
        self.tree = app_commands.CommandTree(self)
        self.reacted: list[tuple[str, str]] = []
        self.interactions: list[discord.Interaction] = []
        self.readies = 0

    async def setup_hook(self) -> None:
        tree = self.tree

        @tree.command(description="Says it")
        @app_commands.allowed_installs(guilds=True, users=True)
        @app_commands.describe(text="What", times="How often")
        async def say(
            interaction: discord.Interaction,
            text: str,
            times: app_commands.Range[int, 1, 3] = 1,
            file: discord.Attachment | None = None,
        ) -> None:
            read = len(await file.read()) if file else 0
            picture = discord.File(BytesIO(b"picture"), "a.png")
            embed = discord.Embed(title=text * times, description=str(read)).set_image(
                url="attachment://a.png"
            )
            view = ui.View(timeout=None)
            view.add_item(ui.Button(label="Again", custom_id="again"))
            await interaction.response.send_message(embed=embed, file=picture, view=view)

        @say.autocomplete("text")
        async def suggest(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=f"{current}k", value=f"{current}k")]

        @tree.command(description="Thinks first")
        async def think(interaction: discord.Interaction) -> None:
            await interaction.response.defer(ephemeral=True)
            await interaction.followup.send("thought")
            await interaction.followup.send("and more", ephemeral=True)

        @tree.command(description="Asks")
        async def form(interaction: discord.Interaction) -> None:
            await interaction.response.send_modal(Picture())

        @tree.command(description="Is silent")
        async def silent(interaction: discord.Interaction) -> None: ...

        @tree.command(description="For admins")
        @app_commands.default_permissions(manage_guild=True)
        async def rule(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("ruled")

        @tree.context_menu(name="Recipe")
        async def recipe(interaction: discord.Interaction, message: discord.Message) -> None:
            await interaction.response.send_message(f"of {message.embeds[0].title}", ephemeral=True)

        await tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Discord lets one shard in five seconds identify; the fake does not mind."""

    async def on_shard_ready(self, shard: int) -> None:
        self.readies += 1

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        self.interactions.append(interaction)
        if interaction.type is discord.InteractionType.component:
            await interaction.response.edit_message(content="clicked")

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.reacted.append(("add", str(payload.emoji)))

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        self.reacted.append(("remove", str(payload.emoji)))

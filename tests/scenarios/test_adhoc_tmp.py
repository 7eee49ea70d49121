from tests.scenarios import policies
from tests.scenarios.conftest import *
from tests.scenarios.test_mentions import incident, asks_in
async def test_start(open_stage):
    stage = await open_stage(policies.HEAD + '[[rules]]\nname="s"\nverbs=["start"]\nwho=["*"]\napprovals=0\n')
    thread = incident(stage)
    card = await asks_in(stage, thread, "start studio-b because we are on air")
    print(stage.reads(card)); print({k:(v["text"]["text"],v.get("style")) for k,v in card.buttons.items()})
    await stage.presses("U0ALICE", card, "confirm")
    await stage.quiet()
    print("\n".join(m.plain for m in stage.slack.workspace.thread(thread)))
    print([c.path for c in stage.live.calls if c.method=="PUT"])

// A small app in Bolt for JavaScript: a command, a modal, a message with a button, a mention.
// SLACK_APP_TOKEN selects Socket Mode. The first line that it prints is the port that it listens on, 0 for a socket.
const { App, LogLevel } = require('@slack/bolt');

const { SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SIGNING_SECRET, SLACK_API_URL } = process.env;
const door = SLACK_APP_TOKEN
  ? { appToken: SLACK_APP_TOKEN, socketMode: true }
  : { signingSecret: SLACK_SIGNING_SECRET };
const app = new App({
  token: SLACK_BOT_TOKEN,
  ...door,
  clientOptions: { slackApiUrl: SLACK_API_URL },
  logLevel: LogLevel.WARN,
});

const text = (words) => ({ type: 'plain_text', text: words });

const order = {
  type: 'modal',
  callback_id: 'order',
  title: text('Tea'),
  submit: text('Order'),
  blocks: [
    { type: 'input', block_id: 'kind', label: text('Kind'), element: { type: 'plain_text_input', action_id: 'typed' } },
  ],
};

const drink = { type: 'button', action_id: 'drink', value: '1', text: text('Drink') };

app.command('/tea', async ({ ack, command, say, client }) => {
  await ack(`brewing ${command.text}`);
  await client.views.open({ trigger_id: command.trigger_id, view: order });
  await say({ text: 'Tea is ready', blocks: [{ type: 'actions', elements: [drink] }] });
});

app.view('order', async ({ ack, view, body, client }) => {
  const kind = view.state.values.kind.typed.value;
  if (kind === 'coffee') {
    await ack({ response_action: 'errors', errors: { kind: 'Tea, please' } });
    return;
  }
  await ack();
  await client.chat.postEphemeral({ channel: 'C0STUDIO', user: body.user.id, text: `ordered ${kind}` });
});

app.action('drink', async ({ ack, body, client, respond }) => {
  await ack();
  await client.chat.update({ channel: body.channel.id, ts: body.message.ts, text: `<@${body.user.id}> drank it` });
  await respond({ text: 'cheers', replace_original: false });
});

app.event('app_mention', async ({ event, say }) => {
  await say({ text: 'yes?', thread_ts: event.ts });
});

app.start({ port: 0, host: '127.0.0.1' }).then((server) => {
  console.log(SLACK_APP_TOKEN ? 0 : server.address().port);
});

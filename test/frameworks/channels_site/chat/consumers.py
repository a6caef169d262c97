from channels.generic.websocket import AsyncJsonWebsocketConsumer


class Room(AsyncJsonWebsocketConsumer):
    """Whoever is in a room gets what anybody there says, whichever process they are connected to."""

    async def connect(self):
        self.room = "room-%s" % self.scope["url_route"]["kwargs"]["room"]
        if self.room == "room-closed":
            await self.close()
            return
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        user = self.scope["user"]
        await self.send_json({"entered": self.room, "name": user.username if user.is_authenticated else None})

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)
        await self.channel_layer.group_send(self.room, {"type": "room.said", "text": "somebody left (%s)" % code})

    async def receive_json(self, content):
        await self.channel_layer.group_send(self.room, {"type": "room.said", "text": content["text"]})

    async def room_said(self, event):
        await self.send_json({"said": event["text"]})

-- The other name of a bot's number, by which WhatsApp may show it to another bot of the fleet.
ALTER TABLE bot_status ADD COLUMN lid text NOT NULL DEFAULT '';

-- What an admin number was shown of a contact goes with the contact.
GRANT DELETE ON owner_commands TO orbitbot_gateway;
